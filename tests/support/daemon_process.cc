// Fork and exec of the server program, its standard output a pipe, its log a temporary file. Test
// thread.
// Always holds: descriptors of the test do not leak into the child (they are all close-on-exec).
#include "tests/support/daemon_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>
#include <utility>

#include "tests/support/wire_client.h"

namespace vecserve::test {

namespace {

// In the child, between fork and exec: system calls only.
[[noreturn]] void become(char* const* argv, int out, int err, int descriptors_max) {
  if (descriptors_max > 0) {
    const rlimit limit = {static_cast<rlim_t>(descriptors_max),
                          static_cast<rlim_t>(descriptors_max)};
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(out, 1);
  ::dup2(err, 2);
  ::execv(argv[0], argv);
  ::_exit(127);
}

}  // namespace

DaemonProcess::DaemonProcess(const std::vector<std::string>& arguments, int descriptors_max) {
  std::vector<std::string> all = {std::string(VECSERVE_BIN_DIR) + "/vecserve", "--listen",
                                  "127.0.0.1:0", "--http", "none"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int pipe_ends[2] = {-1, -1};
  std::string pattern = "/tmp/vecserve-log-XXXXXX";
  const int log = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (log < 0 || ::pipe2(pipe_ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  log_path_ = pattern;
  pid_ = ::fork();
  if (pid_ == 0) become(argv.data(), pipe_ends[1], log, descriptors_max);
  ::close(pipe_ends[1]);
  ::close(log);
  out_ = pipe_ends[0];
  if (pid_ < 0) throw std::runtime_error("no child");
}

DaemonProcess::~DaemonProcess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(out_);
  ::unlink(log_path_.c_str());
}

std::string DaemonProcess::wait_ready() {
  constexpr std::string_view kReady = "ready: listening on ";
  std::string text;
  const auto until = std::chrono::steady_clock::now() + kWireWait;
  while (text.find('\n') == std::string::npos) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd entry = {out_, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&entry, 1, static_cast<int>(left.count())) <= 0) return "";
    char buffer[512];
    const ssize_t count = ::read(out_, buffer, sizeof buffer);
    if (count <= 0) return "";
    text.append(buffer, static_cast<std::size_t>(count));
  }
  if (!text.starts_with(kReady)) return "";
  return text.substr(kReady.size(), text.find('\n') - kReady.size());
}

void DaemonProcess::send_signal(int number) const {
  ::kill(pid_, number);
}

int DaemonProcess::wait() {
  const auto until = std::chrono::steady_clock::now() + kWireWait;
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > until) return -1;
    std::this_thread::yield();
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string DaemonProcess::log() {
  std::ifstream file(log_path_);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace vecserve::test
