// A fixed set of threads that searches share. Work comes as "run f(0) ... f(n - 1)"; the caller
// takes part, idle workers join in, and the call returns when all are done. Stands below scan.
// Any thread may call run(), several at once; tasks must not throw and must not call run().
// Always holds: no allocation and no system call when the caller works alone (n or threads is 1);
// the pool never owns more than `threads - 1` threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace vecserve::engine {

class WorkerPool {
 public:
  // `threads` counts the calling thread: 1 makes no thread at all; 0 means one per core.
  explicit WorkerPool(std::uint32_t threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  [[nodiscard]] std::uint32_t threads() const { return threads_; }

  // Runs task(context, i, worker) for every i in [0, count) on at most `threads_wanted` threads;
  // `worker` in [0, threads_wanted) tells the threads of this one call apart (0 is the caller), for
  // scratch memory. Indices are handed out in rising order.
  using Task = void (*)(void* context, std::size_t index, std::uint32_t worker);
  void run(std::size_t count, std::uint32_t threads_wanted, Task task, void* context);

  template <typename F>
  void parallel_for(std::size_t count, std::uint32_t threads_wanted, F&& f) {
    using Fn = std::remove_reference_t<F>;
    run(
        count, threads_wanted,
        [](void* context, std::size_t index, std::uint32_t worker) {
          (*static_cast<Fn*>(context))(index, worker);
        },
        const_cast<void*>(static_cast<const void*>(&f)));
  }

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
  std::uint32_t threads_ = 1;
};

}  // namespace vecserve::engine
