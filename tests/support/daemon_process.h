// The real server program as a child process: started with arguments, waited for until it says that
// it is ready, sent signals, reaped. Test thread. Always holds: a child that still runs when its
// object dies is killed; nothing waits longer than kWireWait.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace vecserve::test {

class DaemonProcess {
 public:
  // build/bin/vecserve with these arguments behind "--listen 127.0.0.1:0 --http none";
  // `descriptors_max`: as by ulimit -n; 0: as here.
  explicit DaemonProcess(const std::vector<std::string>& arguments, int descriptors_max = 0);
  ~DaemonProcess();
  DaemonProcess(const DaemonProcess&) = delete;
  DaemonProcess& operator=(const DaemonProcess&) = delete;

  // Until it is ready; its address, or "" if it ended first.
  [[nodiscard]] std::string wait_ready();
  void send_signal(int number) const;
  // The exit code, 128 + signal, or -1 when it takes too long.
  [[nodiscard]] int wait();
  // All that it said to standard error so far; after wait(): all.
  [[nodiscard]] std::string log();

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  std::string log_path_;
};

}  // namespace vecserve::test
