// Kills a writing child with SIGKILL at a random moment, opens what is left in a fresh process, and
// holds it against a journal of acknowledged operations, over and over. Canonical run: crash_loop
// --cycles 300
// --json -; with --power-loss the child's file system forgets whatever was not synced, with --graph
// there are walks through a graph that is linked, repaired and saved all the time. The main thread
// drives; children do everything that touches a database. Exits with 1 when any figure is
// bad, or when fewer than half of the kills met an operation on its way, for then the run proved
// nothing.
#include <sys/wait.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/programs/support/child_process.h"
#include "tests/programs/support/crash_checker.h"
#include "tests/programs/support/crash_events.h"
#include "tests/programs/support/crash_journal.h"
#include "tests/programs/support/crash_worker.h"
#include "tests/programs/support/harness_output.h"
#include "tests/support/dice.h"

namespace {

using namespace vecserve;
using namespace vecserve::test;
using std::chrono::steady_clock;

constexpr int kOpenTimeoutMs = 120'000;  // nothing for this long from a child means that it hangs
// Threads are between two operations for microseconds at a time, never that often all of them.
constexpr int kStopsMax = 10'000;
constexpr std::chrono::microseconds kBetweenStops{100};

struct Settings {
  std::uint64_t cycles = 300;
  std::uint64_t seed = 1;
  std::uint32_t threads = 4;
  bool power_loss = false;
  bool graph = false;
  std::string durability = "sync";
  std::string json;
  std::string folder;  // "" makes a temporary one
  // Of children only.
  std::string child;
  std::uint64_t cycle = 0;
  std::uint32_t first_version = 1;
};

struct Kills {
  std::uint64_t in_flight = 0;    // cycles in which an operation had begun and not returned
  std::uint64_t in_open = 0;      // cycles in which the worker was killed before it was ready
  std::uint64_t in_recovery = 0;  // checkers that were killed while they recovered
  std::uint64_t in_save = 0;      // cycles in which a copy of the graph was being written
  std::uint64_t missed = 0;       // children that were gone before the kill
};

class CrashLoop {
 public:
  explicit CrashLoop(const Settings& settings)
      : settings_(settings),
        path_(settings.folder + "/db"),
        checkpoint_prefix_(settings.folder + "/checkpoint-"),
        journal_(settings.threads),
        dice_(settings.seed) {}

  void run() {
    for (std::uint64_t cycle = 0; cycle < settings_.cycles; ++cycle) {
      kill_a_worker(cycle);
      if (dice_.percent(15)) kill_a_checker(cycle);
      judge(cycle);
      show_progress("crash_loop", cycle + 1, settings_.cycles, bad_figures());
    }
  }

  [[nodiscard]] std::uint64_t bad_figures() const {
    return journal_.findings().bad() + restart_failures_;
  }
  [[nodiscard]] bool passed() const {
    if (settings_.graph && graphs_restored_ * 2 < graphs_) return false;
    if (settings_.graph && graphs_ * 2 < settings_.cycles) return false;
    return bad_figures() == 0 && kills_.in_flight * 2 >= settings_.cycles && kills_.missed == 0;
  }

  [[nodiscard]] nlohmann::ordered_json report(double seconds) const {
    const CrashFindings& f = journal_.findings();
    return {{"program", "crash_loop"},
            {"cycles", settings_.cycles},
            {"acked", f.acked},
            {"lost", f.lost},
            {"resurrected", f.resurrected},
            {"phantom", f.phantom},
            {"half_batches", f.half_batches},
            {"restart_failures", restart_failures_},
            {"wrong_searches", f.wrong_searches},
            {"wrong_replies", f.wrong_replies},
            {"in_flight_kills", kills_.in_flight},
            {"kills_in_open", kills_.in_open},
            {"kills_in_recovery", kills_.in_recovery},
            {"kills_in_save", kills_.in_save},
            {"kills_missed", kills_.missed},
            {"graphs", graphs_},
            {"graphs_restored", graphs_restored_},
            {"checkpoints", f.checkpoints},
            {"power_loss", settings_.power_loss},
            {"graph", settings_.graph},
            {"durability", settings_.durability},
            {"threads", settings_.threads},
            {"seed", settings_.seed},
            {"seconds", seconds}};
  }

 private:
  std::vector<std::string> child_arguments(const char* role, std::uint64_t cycle,
                                           const std::string& path) const {
    std::vector<std::string> words = {
        "--child",         role,
        "--dir",           path,
        "--seed",          std::to_string(settings_.seed),
        "--cycle",         std::to_string(cycle),
        "--threads",       std::to_string(settings_.threads),
        "--durability",    settings_.durability,
        "--first-version", std::to_string(journal_.version_max() + 1)};
    if (settings_.power_loss) words.emplace_back("--power-loss");
    if (settings_.graph) words.emplace_back("--graph");
    return words;
  }

  // What a worker has said so far.
  struct Heard {
    bool ready = false;
    bool open = true;  // there may be more
    std::uint64_t replies = 0;
    std::set<std::uint8_t> threads;  // that have replied
  };

  // Takes events until a random moment after the worker is ready (or, one time in twelve, before),
  // kills, and takes the rest of what the worker had said.
  void kill_a_worker(std::uint64_t cycle) {
    auto child = ChildProcess::start(child_arguments("worker", cycle, path_));
    if (!child) throw std::runtime_error("cannot start a worker");
    EventReader reader(child->report_fd());
    // Of few cycles not most.
    const bool before_ready = dice_.below(12) == 0 && kills_.in_open * 4 < cycle;
    const auto early = std::chrono::microseconds(dice_.below(15'000));
    const std::uint64_t replies_wanted = dice_.percent(20) ? 0 : dice_.between(1, 400);
    const auto extra = std::chrono::microseconds(dice_.below(4'000));
    // With the first reply of each thread the rows are there that a graph needs.
    const std::size_t threads_wanted = settings_.graph && cycle == 0 ? settings_.threads : 0;

    Heard heard;
    if (before_ready) {
      spin_for(early);
    } else {
      while (heard.open && (!heard.ready || heard.replies < replies_wanted ||
                            heard.threads.size() < threads_wanted)) {
        const std::size_t news = take_events(reader, kOpenTimeoutMs, heard);
        if (news == 0 && heard.open) break;  // hangs: the judgement will show it
      }
      spin_for(extra);
      if (kills_.in_flight * 4 < (cycle + 1) * 3) wait_for_operation(*child, reader, heard);
    }
    child->kill_now();
    const int status = child->wait();
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) ++kills_.missed;
    while (heard.open) take_events(reader, kOpenTimeoutMs, heard);
    if (journal_.in_flight() > 0) ++kills_.in_flight;
    if (!heard.ready) ++kills_.in_open;
    if (copy_unfinished()) ++kills_.in_save;
  }

  // When too few kills have met an operation on its way: stops the worker again and again, until
  // one is on its way at the moment that it stands still.
  void wait_for_operation(ChildProcess& child, EventReader& reader, Heard& heard) {
    for (int i = 0; i < kStopsMax && child.pause(); ++i) {
      while (heard.open && take_events(reader, 0, heard) != 0) {
      }
      if (journal_.in_flight() > 0) return;
      child.go_on();
      spin_for(kBetweenStops);
    }
  }

  std::size_t take_events(EventReader& reader, int timeout_ms, Heard& heard) {
    std::vector<Event> events;
    heard.open = reader.read(events, timeout_ms);
    for (const Event& event : events) {
      if (event.kind == EventKind::ready) heard.ready = true;
      if (event.kind == EventKind::reply) {
        ++heard.replies;
        heard.threads.insert(event.thread);
      }
      journal_.add(event);
    }
    return events.size();
  }

  bool copy_unfinished() const {
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(path_, none)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("CACHE-") && name.ends_with(".tmp")) return true;
    }
    return false;
  }

  // The moments are far below what a sleeping thread can hit.
  static void spin_for(std::chrono::microseconds time) {
    const auto until = steady_clock::now() + time;
    while (steady_clock::now() < until) {
    }
  }

  void kill_a_checker(std::uint64_t cycle) {
    auto child = ChildProcess::start(child_arguments("checker", cycle, path_));
    if (!child) throw std::runtime_error("cannot start a checker");
    spin_for(std::chrono::microseconds(dice_.below(30'000)));
    child->kill_now();
    const int status = child->wait();
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ++kills_.in_recovery;
  }

  // Runs a checker to its end and returns what it saw.
  CrashDump dump(const char* role, std::uint64_t cycle, const std::string& path) {
    auto child = ChildProcess::start(child_arguments(role, cycle, path));
    if (!child) throw std::runtime_error("cannot start a checker");
    EventReader reader(child->report_fd());
    std::vector<Event> events;
    for (std::size_t before = 0; reader.read(events, kOpenTimeoutMs); before = events.size()) {
      if (events.size() == before) break;  // hangs
    }
    CrashDump seen = read_dump(events, settings_.threads);
    if (!seen.done) child->kill_now();
    const int status = child->wait();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) seen.done = false;
    return seen;
  }

  void judge(std::uint64_t cycle) {
    for (const std::uint32_t version : journal_.checkpoints()) {
      const CrashDump seen =
          dump("checkpoint", cycle, checkpoint_prefix_ + std::to_string(version));
      if (seen.done) {
        journal_.judge_checkpoint(version, seen);
      } else {
        ++restart_failures_;
      }
    }
    const CrashDump seen = dump("checker", cycle, path_);
    if (seen.done) {
      journal_.judge(seen);
      graphs_ += seen.graph ? 1 : 0;
      graphs_restored_ += seen.restored ? 1 : 0;
    } else {
      std::fprintf(stderr, "crash_loop: cycle %llu of seed %llu did not restart\n",
                   static_cast<unsigned long long>(cycle),
                   static_cast<unsigned long long>(settings_.seed));
      ++restart_failures_;
    }
    for (const auto& entry : std::filesystem::directory_iterator(settings_.folder)) {
      if (entry.path() != path_) std::filesystem::remove_all(entry.path());
    }
  }

  const Settings& settings_;
  const std::string path_;
  const std::string checkpoint_prefix_;
  CrashJournal journal_;
  Dice dice_;
  Kills kills_;
  std::uint64_t restart_failures_ = 0;
  std::uint64_t graphs_ = 0;           // that were looked over
  std::uint64_t graphs_restored_ = 0;  // of them, those that were not made anew
};

int run_child(const Settings& settings) {
  const Durability durability =
      settings.durability == "process" ? Durability::process : Durability::sync;
  if (settings.child == "worker") {
    WorkerSettings worker;
    worker.path = settings.folder;
    worker.checkpoint_prefix =
        std::filesystem::path(settings.folder).parent_path().string() + "/checkpoint-";
    worker.seed = settings.seed;
    worker.cycle = settings.cycle;
    worker.threads = settings.threads;
    worker.first_version = settings.first_version;
    worker.durability = durability;
    worker.power_loss = settings.power_loss;
    worker.graph = settings.graph;
    return run_crash_worker(worker);
  }
  CheckerSettings checker;
  checker.path = settings.folder;
  checker.seed = settings.seed ^ settings.cycle;
  checker.durability = durability;
  checker.power_loss = settings.power_loss;
  checker.graph = settings.graph && settings.child != "checkpoint";
  checker.read_only = settings.child == "checkpoint";
  return run_crash_checker(checker);
}

int run_parent(Settings settings) {
  if (settings.power_loss && settings.durability != "sync") {
    std::fprintf(stderr, "crash_loop: --power-loss promises nothing unless --durability sync\n");
    return 2;
  }
  const ScratchFolder scratch("crash_loop", settings.folder);
  settings.folder = scratch.path();
  CrashLoop loop(settings);
  const auto begin = steady_clock::now();
  loop.run();
  const double seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
  print_report(loop.report(seconds), settings.json);
  if (!loop.passed()) {
    std::fprintf(stderr, "crash_loop: FAILED; the folder is kept: %s\n", settings.folder.c_str());
    scratch.keep();
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Kills a writer at random moments and checks that nothing acknowledged is lost");
  app.add_option("--cycles", settings.cycles, "kills")->check(CLI::PositiveNumber);
  app.add_option("--seed", settings.seed, "of every random choice");
  app.add_option("--threads", settings.threads, "writing threads")->check(CLI::Range(2, 64));
  app.add_flag("--power-loss", settings.power_loss, "also forget what was not synced");
  app.add_flag("--graph", settings.graph, "with a graph: is it whole, and was it saved?");
  app.add_option("--durability", settings.durability)->check(CLI::IsMember({"sync", "process"}));
  app.add_option("--json", settings.json, "write one JSON line to this file, - for stdout");
  app.add_option("--dir", settings.folder, "work in this folder instead of a temporary one");
  app.add_option("--child", settings.child)->group("");
  app.add_option("--cycle", settings.cycle)->group("");
  app.add_option("--first-version", settings.first_version)->group("");
  CLI11_PARSE(app, argc, argv);
  try {
    return settings.child.empty() ? run_parent(settings) : run_child(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "crash_loop: %s\n", error.what());
    return 2;
  }
}
