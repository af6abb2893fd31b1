// The flags by CLI11, which also reads the file (TOML or INI). The environment is put between them:
// VECSERVE_IO_THREADS=2 counts as --io-threads 2 where that flag was not given. Main thread.
// Always holds: --help names every setting with its unit and its default.
#include "tools/vecserve/settings.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <vector>

namespace vecserve::daemon {

namespace {

constexpr std::size_t kMib = std::size_t{1} << 20;

// Values in the words and units of the flags.
struct Numbers {
  std::string durability = "sync";
  double hello_seconds = 5;
  double frame_seconds = 10;
  double idle_seconds = 300;
  double write_seconds = 10;
  double target_ms = 0;
  std::size_t frame_mib = 64;
  std::size_t outbox_mib = 8;
  std::size_t memory_mib = 1'024;
  std::size_t gpu_mib = 0;
};

std::chrono::milliseconds as_ms(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1'000.0));
}

void add_places(CLI::App& app, Settings& settings) {
  app.add_option("--data", settings.data, "folder of the database, made when missing")
      ->capture_default_str();
  app.add_option("--listen", settings.server.listen,
                 "HOST:PORT, [IPV6]:PORT or unix:/PATH; may be given several times")
      ->capture_default_str();
  app.add_option("--http", settings.http,
                 "HOST:PORT of metrics, health and console, or none; port 0: any free one")
      ->take_last()
      ->capture_default_str();
  app.add_option("--checkpoints", settings.server.checkpoint_folder,
                 "folder in which checkpoints are made [DATA-checkpoints]");
}

void add_security(CLI::App& app, Settings& settings) {
  const auto group = "Who may come in";
  app.add_option("--token-file", settings.server.token_file,
                 "lines of NAME SHA256 GRANT..., a grant being read,write,admin@COLLECTION or @*")
      ->group(group);
  app.add_flag("--hash-token", settings.hash_token,
               "read a token from standard input, print its SHA-256 for the token file, and end")
      ->group(group)
      ->configurable(false);
  app.add_option("--tls-cert", settings.server.tls_certificate_file, "PEM chain of the certificate")
      ->group(group);
  app.add_option("--tls-key", settings.server.tls_key_file, "PEM of its key")->group(group);
  app.add_option("--tls-client-ca", settings.server.tls_client_ca_file,
                 "PEM of the authority that must have signed clients' certificates")
      ->group(group);
  app.add_flag("--insecure", settings.server.insecure,
               "listen beyond loopback without tokens and TLS")
      ->group(group);
}

void add_serving(CLI::App& app, Settings& settings, Numbers& numbers) {
  const auto group = "Serving";
  app.add_option("--durability", numbers.durability,
                 "what every write survives: sync (power loss) or process (a crash of this one)")
      ->check(CLI::IsMember({"sync", "process"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--threads", settings.database.threads, "threads that scan; 0: one per core")
      ->capture_default_str()
      ->group(group);
  app.add_option("--gpu-mib", numbers.gpu_mib,
                 "memory of a GPU for copies of rows, in MiB; 0: four fifths of what is free")
      ->capture_default_str()
      ->group(group);
  app.add_option("--gpu-recheck", settings.database.gpu_recheck_every,
                 "compute each so many-th row that a GPU finds again; 0: none")
      ->capture_default_str()
      ->group(group);
  app.add_option("--io-threads", settings.server.io_threads, "threads that read and write sockets")
      ->capture_default_str()
      ->group(group);
  app.add_option("--lanes", settings.serving.searches.lanes, "search batches in flight")
      ->capture_default_str()
      ->group(group);
  app.add_option("--batch-max", settings.serving.searches.batch_max, "queries of one batch")
      ->capture_default_str()
      ->group(group);
  app.add_option("--target-ms", numbers.target_ms,
                 "refuse a search that would take longer, in ms; 0: three slow batches")
      ->capture_default_str()
      ->group(group);
}

void add_bounds(CLI::App& app, Settings& settings, Numbers& numbers) {
  const auto group = "Bounds";
  const auto add = [&](const char* name, auto& value, const char* text) {
    app.add_option(name, value, text)->capture_default_str()->group(group);
  };
  add("--connections-max", settings.server.connections_max, "connections");
  add("--strangers-max", settings.server.connections_strange_max, "connections before their hello");
  add("--requests-max", settings.server.connection_requests_max,
      "unanswered requests of one connection");
  add("--frame-mib", numbers.frame_mib, "largest request, in MiB");
  add("--outbox-mib", numbers.outbox_mib, "unread replies of one connection, in MiB");
  add("--memory-mib", numbers.memory_mib,
      "bytes on their way in or out of all connections, in MiB");
  add("--hello-timeout", numbers.hello_seconds, "seconds until the hello is done");
  add("--frame-timeout", numbers.frame_seconds,
      "seconds from the first to the last byte of a frame");
  add("--idle-timeout", numbers.idle_seconds, "seconds between two requests; 0: no bound");
  add("--write-timeout", numbers.write_seconds, "seconds in which a client reads nothing");
  add("--drain-seconds", settings.drain_seconds, "seconds from SIGTERM to the end, at most");
}

void add_logging(CLI::App& app, Settings& settings) {
  const auto group = "Logs (standard error)";
  app.add_option("--log-level", settings.log_level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--log-format", settings.log_format, "text, or json with an object per line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str()
      ->group(group);
}

// "--io-threads" is VECSERVE_IO_THREADS.
std::string variable_of(std::string flag) {
  std::string name = "VECSERVE_";
  for (const char c : flag.substr(2)) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

// The arguments, and behind them what only the environment says. VECSERVE_KERNELS belongs to the
// library and is no flag.
std::vector<std::string> with_environment(const CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::vector<std::string> given = arguments;
  for (const CLI::Option* option : app.get_options()) {
    const std::string flag = "--" + option->get_single_name();
    const char* const value = std::getenv(variable_of(flag).c_str());
    const bool said = std::any_of(given.begin(), given.end(), [&](const std::string& argument) {
      return argument == flag || argument.starts_with(flag + "=");
    });
    if (value == nullptr || said || flag == "--help" || flag == "--version") continue;
    arguments.push_back(flag + "=" + value);
  }
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  return arguments;
}

void convert(const Numbers& numbers, Settings& settings) {
  net::ServerOptions& server = settings.server;
  const bool process = numbers.durability == "process";
  settings.database.durability = process ? Durability::process : Durability::sync;
  server.hello_timeout = as_ms(numbers.hello_seconds);
  server.frame_timeout = as_ms(numbers.frame_seconds);
  server.idle_timeout = as_ms(numbers.idle_seconds);
  server.write_timeout = as_ms(numbers.write_seconds);
  server.frame_bytes_max = numbers.frame_mib * kMib;
  server.connection_bytes_max = std::max(server.connection_bytes_max, 2 * server.frame_bytes_max);
  server.outbox_bytes_max = numbers.outbox_mib * kMib;
  server.total_bytes_max = numbers.memory_mib * kMib;
  settings.database.gpu_bytes = numbers.gpu_mib * kMib;
  settings.serving.searches.target =
      std::chrono::nanoseconds(static_cast<std::int64_t>(numbers.target_ms * 1e6));
  if (server.checkpoint_folder.empty()) server.checkpoint_folder = settings.data + "-checkpoints";
}

// What HTTP shows has no tokens in front of it.
Status validate_http(const Settings& settings) {
  if (settings.http == "none") return {};
  const Result<net::Endpoint> endpoint = net::Endpoint::parse(settings.http);
  if (!endpoint.ok() || !endpoint->unix_path.empty()) {
    return Status::invalid_argument("http", "must be HOST:PORT, or none");
  }
  if (!endpoint->is_loopback() && !settings.server.insecure) {
    return Status::invalid_argument(
        "http",
        "others can reach this address, and it asks nobody who he is; --insecure allows it");
  }
  return {};
}

Status validate(const Settings& settings) {
  VECSERVE_TRY(validate_http(settings));
  VECSERVE_TRY(settings.server.validate());
  VECSERVE_TRY(settings.serving.validate());
  return settings.database.validate();
}

}  // namespace

std::optional<Settings> read_settings(int argc, const char* const* argv, int& exit_code) {
  Settings settings;
  Numbers numbers;
  CLI::App app("vecserve: a vector database server built around its latency tail");
  app.footer(
      "Each flag can also be set by the environment (VECSERVE_IO_THREADS for --io-threads) and in\n"
      "the file of --config (io-threads = 2); flags win over the environment, it over the file.\n"
      "SIGTERM finishes what was admitted, a second one ends at once; SIGHUP reads tokens and\n"
      "certificates again.");
  app.set_version_flag("--version", "vecserve 0.1.0");
  app.set_config("--config", "", "file of settings, TOML or INI");
  app.allow_config_extras(CLI::config_extras_mode::error);
  add_places(app, settings);
  add_security(app, settings);
  add_serving(app, settings, numbers);
  add_bounds(app, settings, numbers);
  add_logging(app, settings);
  try {
    app.parse(with_environment(app, argc, argv));
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error) == 0 ? 0 : 2;
    return std::nullopt;
  }
  convert(numbers, settings);
  const Status status = validate(settings);
  if (!status.ok()) {
    fmt::print(stderr, "vecserve: {}\n", status.to_string());
    exit_code = 2;
    return std::nullopt;
  }
  return settings;
}

}  // namespace vecserve::daemon
