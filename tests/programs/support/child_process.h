// Starts this very program again as a child whose file descriptor 3 is a pipe to us: fork and exec,
// never fork alone, because RocksDB's threads do not survive a fork. Used by the harness programs;
// main thread. Always holds: a child that is still running when its object dies is killed and
// reaped.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace vecserve::test {

inline constexpr int kChildReportFd = 3;

class ChildProcess {
 public:
  // The arguments after the program's name. nullopt when the system refuses.
  [[nodiscard]] static std::optional<ChildProcess> start(const std::vector<std::string>& arguments);
  // Another program, whose descriptor 3 nobody writes to.
  [[nodiscard]] static std::optional<ChildProcess> start_program(
      const std::string& program, const std::vector<std::string>& arguments);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  [[nodiscard]] int report_fd() const { return fd_; }
  void kill_now();  // SIGKILL
  // SIGSTOP: nothing of it runs any more when this returns. False when it has ended.
  [[nodiscard]] bool pause();
  void go_on();              // SIGCONT
  void ask_to_end();         // SIGTERM
  [[nodiscard]] int wait();  // the status as waitpid gives it; -1 when already reaped

 private:
  ChildProcess(pid_t pid, int fd) : pid_(pid), fd_(fd) {}
  pid_t pid_ = -1;
  int fd_ = -1;
};

}  // namespace vecserve::test
