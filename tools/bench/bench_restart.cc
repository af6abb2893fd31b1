// How long does a restart take against merely reading the files? Canonical run: bench_restart
// --rows 1000000
// --dim 128 --json -. Columns: cache is "warm" (the files were just read) or "cold" (their pages
// were dropped); open_ms, from the call of Database::open to the first answer of a search in a
// fresh process; read_ms, read() of the same files from front to end with 1 MiB buffers in a fresh
// process; ratio, the median of the rounds' open_ms / read_ms. Rounds of open and read alternate.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "tools/bench/bench_report.h"
#include "tools/bench/loaded_database.h"

extern char** environ;  // NOLINT

namespace {

using namespace vecserve;
using namespace vecserve::bench;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kReadBytes = std::size_t{1} << 20;

struct Settings {
  CommonFlags common;
  DatabaseShape shape;
  std::uint32_t rounds = 5;
  std::string child;  // "open" or "read": what a fresh process does
};

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

std::vector<std::string> files_of(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class File {
 public:
  explicit File(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    require(fd_ >= 0, "cannot read " + path);
  }
  ~File() { close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

// Written pages cannot be dropped, hence the fsync.
void drop_pages(const std::string& folder) {
  for (const std::string& path : files_of(folder)) {
    const File file(path);
    require(fsync(file.fd()) == 0 && posix_fadvise(file.fd(), 0, 0, POSIX_FADV_DONTNEED) == 0,
            "cannot drop the pages of " + path);
  }
}

double child_read(const std::string& folder) {
  std::vector<char> buffer(kReadBytes);
  const auto begin = Clock::now();
  for (const std::string& path : files_of(folder)) {
    const File file(path);
    while (read(file.fd(), buffer.data(), buffer.size()) > 0) {
    }
  }
  return ms_since(begin);
}

double child_open(const std::string& folder, const DatabaseShape& shape) {
  const std::uint64_t row = shape.rows / 2;
  const std::vector<float> query = row_vector(shape, row);
  DatabaseOptions options;
  options.create_if_missing = false;
  const auto begin = Clock::now();
  Result<Database> database = Database::open(folder, options);
  require(database.ok(), database.status().to_string());
  const auto found = database->collection("rows").value().search(Query(query));
  const double ms = ms_since(begin);
  require(found.ok() && found->front().id == RowId(row) && found->front().distance == 0.0,
          "the search after the restart is wrong");
  check_rows(database->collection("rows").value(), shape);
  return ms;
}

// Runs this program again with --child and returns the number that it prints.
double measure(const Settings& settings, const char* what, const std::string& folder) {
  int ends[2];
  require(pipe2(ends, O_CLOEXEC) == 0, "no pipe");
  std::vector<std::string> words = {"bench_restart",
                                    "--child",
                                    what,
                                    "--dir",
                                    folder,
                                    "--rows",
                                    std::to_string(settings.shape.rows),
                                    "--dim",
                                    std::to_string(settings.shape.dim),
                                    "--seed",
                                    std::to_string(settings.common.seed)};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  char text[64] = {};
  const ssize_t got = failed == 0 ? read(ends[0], text, sizeof(text) - 1) : -1;
  close(ends[0]);
  int status = -1;
  if (failed == 0) waitpid(pid, &status, 0);
  require(status == 0 && got > 0, std::string("the child that should ") + what + " failed");
  return std::stod(text);
}

void measure_all(const Settings& settings, const std::string& folder, Report& report) {
  std::uint64_t bytes = 0;
  for (const std::string& path : files_of(folder)) bytes += fs::file_size(path);
  for (const char* cache : {"warm", "cold"}) {
    const bool cold = std::string(cache) == "cold";
    std::vector<double> opens, reads, ratios;
    static_cast<void>(measure(settings, "read", folder));
    for (std::uint32_t round = 0; round < settings.rounds; ++round) {
      if (cold) drop_pages(folder);
      reads.push_back(measure(settings, "read", folder));
      if (cold) drop_pages(folder);
      opens.push_back(measure(settings, "open", folder));
      ratios.push_back(opens.back() / reads.back());
    }
    report.add({{"cache", cache},
                {"rows", settings.shape.rows},
                {"dim", settings.shape.dim},
                {"open_ms", median(opens)},
                {"read_ms", median(reads)},
                {"ratio", median(ratios)},
                {"disk_mib", static_cast<double>(bytes) / (1 << 20)},
                {"rounds", settings.rounds}});
  }
}

void run(int argc, char** argv) {
  Settings settings;
  CLI::App app("Time from open to the first answer, against reading the same files");
  add_common_flags(app, settings.common);
  app.add_option("--rows", settings.shape.rows)->check(CLI::Range(2, 100'000'000));
  app.add_option("--dim", settings.shape.dim)->check(CLI::Range(1, 65536));
  app.add_option("--rounds", settings.rounds)->check(CLI::PositiveNumber);
  app.add_option("--child", settings.child)->group("");
  parse_flags(app, argc, argv);
  settings.shape.seed = settings.common.seed;
  if (!settings.child.empty()) {
    const std::string& folder = settings.common.folder;
    std::printf("%.6f\n",
                settings.child == "open" ? child_open(folder, settings.shape) : child_read(folder));
    return;
  }
  if (settings.common.smoke) {
    settings.shape.rows = 3000;
    settings.shape.dim = 16;
    settings.rounds = 1;
  }
  const BenchFolder folder(settings.common);
  {
    Result<Database> database = Database::open(folder.at("db"));
    require(database.ok(), database.status().to_string());
    static_cast<void>(load_rows(*database, settings.shape));
    require(database->close().ok(), "close failed");
  }
  Report report("restart", settings.common);
  measure_all(settings, folder.at("db"), report);
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_restart", run, argc, argv);
}
