// A stack of its own for each emulated GPU thread, so that it can wait in the middle of a kernel.
// Comes below the emulator of simt.h, which decides whose turn it is. A fiber runs on the thread
// that resumes it; one thread at a time. Always holds: resume() comes back when the fiber yields or
// ends; a fiber that is given up in the middle (start() again, or destroyed) runs no destructors.
#pragma once

#include <cstddef>
#include <memory>

namespace vecserve::test::simt {

class Fiber {
 public:
  using Entry = void (*)(void*);

  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next resume() begins entry(argument). `entry` must not throw.
  void start(Entry entry, void* argument);
  void resume();
  // Inside the fiber: goes back to who resumed it.
  void yield();
  [[nodiscard]] bool finished() const { return finished_; }

  // Ends the fiber after its entry has returned; only the switch calls it.
  void run_entry();

 private:
  void switch_in();
  void switch_out(bool last);

  static constexpr std::size_t kStackBytes = std::size_t{64} << 10;
  struct Machine;  // what the processor and the sanitizers need
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<std::byte[]> stack_;
  Entry entry_ = nullptr;
  void* argument_ = nullptr;
  bool finished_ = true;
};

}  // namespace vecserve::test::simt
