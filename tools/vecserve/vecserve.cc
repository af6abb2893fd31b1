// The server program. Reads its settings, blocks the signals that it waits for, and runs until it
// is told to stop; "vecserve --help" says everything else. Above settings and daemon; main thread.
// Always holds: exit codes are 0 after a clean end, 1 when it failed, 2 for wrong settings.
#include <fmt/core.h>

#include <iostream>
#include <string>

#include "net/tokens.h"
#include "tools/vecserve/daemon.h"
#include "tools/vecserve/settings.h"
#include "tools/vecserve/signals.h"

int main(int argc, char** argv) {
  using namespace vecserve;
  daemon::block_signals();
  int exit_code = 0;
  const auto settings = daemon::read_settings(argc, argv, exit_code);
  if (!settings) return exit_code;
  if (!settings->hash_token) return daemon::run_daemon(*settings);
  std::string token;
  std::getline(std::cin, token);
  if (token.empty()) {
    fmt::print(stderr, "vecserve: a token on standard input is needed\n");
    return 2;
  }
  fmt::print("{}\n", net::to_hex(net::digest_of(token)));
  return 0;
}
