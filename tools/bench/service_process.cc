// Starting and ending a server program. Comes below bench_overload; main thread. Always holds: what
// the child says on standard output goes nowhere, so that a bench's report stays the only thing
// there.
#include "tools/bench/service_process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

extern char** environ;  // NOLINT

namespace vecserve::bench {

CoreHalves halve_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cores.push_back(cpu);
    }
  }
  if (cores.size() < 4) return {cores, cores};
  const auto middle = cores.begin() + static_cast<std::ptrdiff_t>(cores.size() / 2);
  return {{cores.begin(), middle}, {middle, cores.end()}};
}

void use_cores(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cores) CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (!cores.empty()) sched_setaffinity(0, sizeof(set), &set);
}

std::string program_beside(const std::string& name) {
  std::error_code failed;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", failed);
  const auto path = self.parent_path() / name;
  return !failed && std::filesystem::exists(path) ? path.string() : "";
}

ServiceProcess::ServiceProcess(const std::string& program,
                               const std::vector<std::string>& arguments,
                               const std::vector<int>& cores, std::string error_file)
    : error_file_(std::move(error_file)) {
  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, error_file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                   0600);
  // A child starts on the cores of the thread that starts it.
  const CoreHalves own = halve_cores();
  std::vector<int> all = own.server;
  if (own.load != own.server) all.insert(all.end(), own.load.begin(), own.load.end());
  use_cores(cores);
  const int failed = posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
  use_cores(all);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error("cannot start " + program);
}

ServiceProcess::~ServiceProcess() {
  kill(pid_, SIGTERM);
  int status = 0;
  waitpid(pid_, &status, 0);
}

bool ServiceProcess::running() {
  return waitpid(pid_, nullptr, WNOHANG) == 0;
}

double ServiceProcess::resident_mib() const {
  std::ifstream in("/proc/" + std::to_string(pid_) + "/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024.0;
  }
  return 0.0;
}

}  // namespace vecserve::bench
