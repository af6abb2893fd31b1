// Kills a server with SIGKILL under writing clients, starts it again, and holds what it serves then
// against a journal of acknowledged calls, over and over. The clients live in this process and go
// on across the kill: what was on its way is sent again by the client itself under its request id,
// so a write that is applied twice shows as a wrong reply. Canonical run: server_crash_loop
// --cycles 200 --json -. The main thread drives. Exits with 1 when any figure is bad, or when fewer
// than half of the kills met a call on its way.
#include <sys/wait.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/programs/support/child_process.h"
#include "tests/programs/support/client_writer.h"
#include "tests/programs/support/crash_journal.h"
#include "tests/programs/support/crash_worker.h"
#include "tests/programs/support/harness_output.h"
#include "tests/support/brute_force.h"
#include "tests/support/coded_row.h"
#include "tests/support/dice.h"
#include "tools/loadgen/free_port.h"
#include "vecserve/client.h"

namespace {

using namespace vecserve;
using namespace vecserve::test;
using std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::seconds(60);  // a server that is silent for so long hangs
constexpr std::uint32_t kPageRows = 1'000;
constexpr std::size_t kNearest = 10;
constexpr int kSearches = 4;

struct Settings {
  std::uint64_t cycles = 200;
  std::uint64_t seed = 1;
  std::uint32_t threads = 8;
  std::string json;
  std::string folder;  // "" makes a temporary one
  std::string server = VECSERVE_BIN_DIR "/vecserve";
};

// "127.0.0.1:PORT" with a port that nobody uses now.
std::string free_address() {
  const std::uint16_t port = loadgen::free_port();
  if (port == 0) throw std::runtime_error("there is no free port");
  return "127.0.0.1:" + std::to_string(port);
}

// The moments are far below what a sleeping thread can hit.
void spin_for(std::chrono::microseconds time) {
  const auto until = steady_clock::now() + time;
  while (steady_clock::now() < until) {
  }
}

class ServerCrashLoop {
 public:
  explicit ServerCrashLoop(const Settings& settings)
      : settings_(settings),
        address_(free_address()),
        journal_(settings.threads),
        dice_(settings.seed) {
    start_server();
    ClientOptions options;
    options.address = address_;
    options.timeout = kPatience;
    options.attempts_max = 10;
    options.backoff_min = std::chrono::milliseconds(1);
    options.backoff_max = std::chrono::milliseconds(20);
    connect(options);
    const auto made = client_->create_collection(kMainName, coded_collection());
    if (!made.ok()) throw std::runtime_error(made.status().to_string());
  }

  void run() {
    std::vector<std::unique_ptr<ClientWriter>> writers;
    for (std::uint32_t i = 0; i < settings_.threads; ++i) {
      writers.push_back(std::make_unique<ClientWriter>(*client_, book_, i, settings_.seed));
    }
    for (std::uint64_t cycle = 0; cycle < settings_.cycles; ++cycle) {
      await_replies(dice_.percent(20) ? 0 : dice_.between(1, 400));
      spin_for(std::chrono::microseconds(dice_.below(4'000)));
      for (const auto& writer : writers) {
        if (writer->calling()) {
          ++in_flight_;
          break;
        }
      }
      kill_server();
      for (const auto& writer : writers) writer->ask_to_pause();
      start_server();
      if (dice_.percent(15)) {
        spin_for(std::chrono::microseconds(dice_.below(60'000)));
        kill_server();
        ++in_recovery_;
        start_server();
      }
      // Calls that were on their way are sent again now, and end.
      for (const auto& writer : writers) writer->wait_paused();
      judge();
      show_progress("server_crash_loop", cycle + 1, settings_.cycles, bad_figures());
      for (const auto& writer : writers) writer->resume();
    }
    for (const auto& writer : writers) writer->ask_to_pause();
    for (const auto& writer : writers) writer->wait_paused();
  }

  // SIGTERM must end it cleanly.
  void end() {
    child_->ask_to_end();
    const int status = child_->wait();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) ++restart_failures_;
  }

  [[nodiscard]] std::uint64_t bad_figures() const {
    return journal_.findings().bad() + book_.unexpected + restart_failures_;
  }
  [[nodiscard]] bool passed() const {
    return bad_figures() == 0 && in_flight_ * 2 >= settings_.cycles;
  }

  [[nodiscard]] nlohmann::ordered_json report(double seconds) const {
    const CrashFindings& f = journal_.findings();
    return {{"program", "server_crash_loop"},
            {"cycles", settings_.cycles},
            {"acked", f.acked},
            {"lost", f.lost},
            {"resurrected", f.resurrected},
            {"phantom", f.phantom},
            {"half_batches", f.half_batches},
            {"wrong_replies", f.wrong_replies},
            {"wrong_searches", f.wrong_searches},
            {"unexpected_errors", book_.unexpected},
            {"restart_failures", restart_failures_},
            {"sent_again", book_.sent_again},
            {"replayed", book_.replayed},
            {"open_outcomes", book_.unknown},
            {"in_flight_kills", in_flight_},
            {"kills_in_recovery", in_recovery_},
            {"threads", settings_.threads},
            {"seed", settings_.seed},
            {"seconds", seconds}};
  }

 private:
  void start_server() {
    child_ = ChildProcess::start_program(
        settings_.server, {"--data", settings_.folder + "/db", "--listen", address_, "--http",
                           "none", "--log-level", "warn"});
    if (!child_) throw std::runtime_error("cannot start " + settings_.server);
  }

  void kill_server() {
    child_->kill_now();
    const int status = child_->wait();
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) ++restart_failures_;
  }

  // The first connection only; from then on the client finds its server again by itself.
  void connect(const ClientOptions& options) {
    const auto until = steady_clock::now() + kPatience;
    while (true) {
      Result<Client> client = Client::connect(options);
      if (client.ok()) {
        client_ = std::make_unique<Client>(*std::move(client));
        return;
      }
      if (steady_clock::now() > until) throw std::runtime_error(client.status().to_string());
      spin_for(std::chrono::milliseconds(2));
    }
  }

  void await_replies(std::uint64_t count) {
    const auto replies = [this] {
      const std::lock_guard lock(book_.mutex);
      return book_.replies;
    };
    const std::uint64_t wanted = replies() + count;
    const auto until = steady_clock::now() + kPatience;
    while (replies() < wanted && steady_clock::now() < until) {
      spin_for(std::chrono::microseconds(100));
    }
  }

  void judge() {
    const auto verified = client_->verify();
    CrashDump dump;
    if (!verified.ok() || !read_dump(dump)) {
      std::fprintf(stderr, "server_crash_loop: %s\n", verified.status().to_string().c_str());
      ++restart_failures_;
      return;
    }
    const std::lock_guard lock(book_.mutex);
    journal_.judge(dump);
  }

  bool read_dump(CrashDump& dump) {
    dump.threads.resize(settings_.threads);
    std::vector<OracleRow> rows;
    RemoteCursor cursor = client_->scan(kMainName);
    while (!cursor.done()) {
      const auto page = cursor.next(kPageRows);
      if (!page.ok()) return false;
      for (const Row& row : *page) {
        const auto versions = decode_coded(row);
        const std::uint64_t owner =
            row.id.is_number() ? row.id.number() / kOwnerSpan : settings_.threads;
        if (!versions || owner >= settings_.threads) {
          ++dump.torn;
        } else {
          dump.threads[owner].rows[{kMainCollection, row.id.number()}] = *versions;
        }
        rows.push_back({row.id, row.vector.to_floats()});
      }
    }
    const auto count = client_->count(kMainName);
    if (!count.ok()) return false;
    if (*count != rows.size()) ++dump.wrong;
    return check_searches(rows, dump);
  }

  bool check_searches(const std::vector<OracleRow>& rows, CrashDump& dump) {
    for (int i = 0; i < kSearches; ++i) {
      const std::vector<float> vector = coded_vector(
          dice_.below(kIdsPerThread), static_cast<std::uint32_t>(dice_.below(1 << 20)));
      SearchOptions options;
      options.k = kNearest;
      const auto found = client_->search(kMainName, Query(vector), options);
      if (!found.ok()) return false;
      const auto hits = found->of(0);
      const auto expected = oracle_nearest(Metric::l2, rows, vector, kNearest);
      if (std::vector<Neighbor>(hits.begin(), hits.end()) != expected) ++dump.wrong;
    }
    return true;
  }

  const Settings& settings_;
  const std::string address_;
  CrashJournal journal_;
  WriterBook book_{{}, journal_};
  Dice dice_;
  std::optional<ChildProcess> child_;
  std::unique_ptr<Client> client_;
  std::uint64_t in_flight_ = 0;
  std::uint64_t in_recovery_ = 0;
  std::uint64_t restart_failures_ = 0;
};

int run(Settings settings) {
  const ScratchFolder scratch("server_crash_loop", settings.folder);
  settings.folder = scratch.path();
  const auto begin = steady_clock::now();
  ServerCrashLoop loop(settings);
  loop.run();
  loop.end();
  const double seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
  print_report(loop.report(seconds), settings.json);
  if (loop.passed()) return 0;
  std::fprintf(stderr, "server_crash_loop: FAILED; the folder is kept: %s\n",
               settings.folder.c_str());
  scratch.keep();
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Kills a server under its clients and checks that nothing acknowledged is lost");
  app.add_option("--cycles", settings.cycles, "kills")->check(CLI::PositiveNumber);
  app.add_option("--seed", settings.seed, "of every random choice");
  app.add_option("--threads", settings.threads, "writing threads")->check(CLI::Range(2, 64));
  app.add_option("--json", settings.json, "write one JSON line to this file, - for stdout");
  app.add_option("--dir", settings.folder, "work in this folder instead of a temporary one");
  app.add_option("--server", settings.server, "the program to kill")->check(CLI::ExistingFile);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "server_crash_loop: %s\n", error.what());
    return 2;
  }
}
