// The flags of loadgen, with units and defaults. Comes before commands; main thread.
// Always holds: what a flag does not say, the default of Settings does, and --help shows
// it.
#include "tools/loadgen/commands.h"

namespace vecserve::loadgen {
namespace {

void add_target_flags(CLI::App& app, Settings& settings) {
  app.add_option("--target", settings.target,
                 "HOST:PORT or unix:/PATH of vecserve or batchd; in this process: inline, "
                 "server:MICROSECONDS[,QUEUE]")
      ->capture_default_str();
  app.add_option("--collection", settings.collection, "to search and write")->capture_default_str();
  app.add_option("--token", settings.token, "bearer token of the server");
  app.add_option("--connections", settings.connections, "to spread the requests over")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--dim", settings.dim, "coordinates of a vector")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  app.add_option("--rows", settings.rows, "rows that --prepare writes and the mix draws ids from")
      ->capture_default_str();
  app.add_option("--k", settings.k, "neighbours that a search asks for")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  app.add_flag("--prepare", settings.prepare, "make the collection and its rows first");
  app.add_option("--mix", settings.mix, "weights of search, upsert, erase and get")
      ->capture_default_str();
  app.add_option("--timeout", settings.timeout_ms, "deadline of a request, ms")
      ->check(CLI::Range(0.1, 3'600'000.0))
      ->capture_default_str();
  app.add_option("--class", settings.priority, "interactive, bulk or background")
      ->capture_default_str();
}

void add_load_flags(CLI::App& app, Settings& settings) {
  app.add_option("--rate", settings.rate, "requests a second; first rate of --find-knee")
      ->capture_default_str();
  app.add_option("--duration", settings.duration_s, "of a run, s")->capture_default_str();
  app.add_option("--warm-up", settings.warm_up_s, "s at the start that are not counted")
      ->capture_default_str();
  app.add_option("--cool-down", settings.cool_down_s, "s at the end that are not counted")
      ->capture_default_str();
  app.add_option("--arrivals", settings.arrivals,
                 "poisson, constant, burst:SIZE or trace:FILE (seconds, one a line)")
      ->capture_default_str();
  app.add_option("--closed-loop", settings.closed_users,
                 "instead: so many requests out at any time; the report says CLOSED LOOP");
  app.add_option("--seed", settings.seed, "of the plan")->capture_default_str();
  app.add_option("--cpu", settings.cpu, "core to pin the sender to; -1: none")
      ->capture_default_str();
  app.add_option("--noise-rate", settings.noise_rate,
                 "looks a second of the thread that measures the host; 0: none")
      ->capture_default_str();
}

}  // namespace

void add_flags(CLI::App& app, Settings& settings) {
  add_target_flags(app, settings);
  add_load_flags(app, settings);
  app.add_flag("--sweep", settings.sweep, "a run at each of --rates, or at tenths of --rate");
  app.add_option("--rates", settings.rates, "of --sweep, with commas")->delimiter(',');
  app.add_flag("--find-knee", settings.find_knee, "the highest rate that keeps --slo");
  app.add_option("--slo", settings.slo, "such as p99=5ms")->capture_default_str();
  app.add_option("--steps", settings.steps_max, "runs of --find-knee at most")
      ->check(CLI::Range(2, 64))
      ->capture_default_str();
  app.add_option("--compare", settings.compare, "two files of --json: is B slower than A?")
      ->expected(2);
  app.add_flag("--self-test", settings.self_test, "prove the generator on this machine, 35 s");
  add_file_flags(app, settings.files);
  app.add_flag("--quiet", settings.quiet, "no progress on standard error");
  app.add_flag("--smoke", settings.smoke, "of --self-test: short, times are not judged");
}

}  // namespace vecserve::loadgen
