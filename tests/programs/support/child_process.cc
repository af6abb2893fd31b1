// posix_spawn of /proc/self/exe, or of another program, with one pipe. Comes below the harness
// programs; main thread. Always holds: no descriptor but 0 to 3 is inherited (everything we open is
// close-on-exec).
#include "tests/programs/support/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

extern char** environ;  // NOLINT

namespace vecserve::test {

std::optional<ChildProcess> ChildProcess::start(const std::vector<std::string>& arguments) {
  return start_program("/proc/self/exe", arguments);
}

std::optional<ChildProcess> ChildProcess::start_program(const std::string& program,
                                                        const std::vector<std::string>& arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  // Above 3, so that the dup2 below is never a dup2 onto itself, which would leave close-on-exec
  // set.
  const int write_end = fcntl(ends[1], F_DUPFD_CLOEXEC, kChildReportFd + 1);
  close(ends[1]);
  if (write_end < 0) {
    close(ends[0]);
    return std::nullopt;
  }

  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, write_end, kChildReportFd);
  // Standard output belongs to the report of the harness.
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(write_end);
  if (failed != 0) {
    close(ends[0]);
    return std::nullopt;
  }
  return ChildProcess(pid, ends[0]);
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    kill_now();
    static_cast<void>(wait());
  }
  if (fd_ >= 0) close(fd_);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), fd_(std::exchange(other.fd_, -1)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(fd_, other.fd_);
  return *this;
}

void ChildProcess::kill_now() {
  if (pid_ > 0) kill(pid_, SIGKILL);
}

bool ChildProcess::pause() {
  if (pid_ <= 0) return false;
  kill(pid_, SIGSTOP);
  siginfo_t news{};
  // It is left to wait() to take the end of it.
  while (waitid(P_PID, static_cast<id_t>(pid_), &news, WSTOPPED | WEXITED | WNOWAIT) < 0 &&
         errno == EINTR) {
  }
  return news.si_code == CLD_STOPPED;
}

void ChildProcess::go_on() {
  if (pid_ > 0) kill(pid_, SIGCONT);
}

void ChildProcess::ask_to_end() {
  if (pid_ > 0) kill(pid_, SIGTERM);
}

int ChildProcess::wait() {
  if (pid_ <= 0) return -1;
  int status = -1;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

}  // namespace vecserve::test
