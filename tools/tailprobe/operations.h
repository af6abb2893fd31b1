// The small operations that can be probed, each ready to run many times. Below probe.h; the probing
// thread makes, runs and destroys one. Operations that need a device are known by name and say why
// they cannot run.
// Always holds: run() does the same work every time and leaves nothing behind that grows without
// bound; what it needs is made before the first run.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tools/tailprobe/causes.h"
#include "vecserve/status.h"

namespace vecserve::tailprobe {

struct Operation {
  std::string name;
  std::string what;  // a sentence with its sizes
  Waits waits = Waits::nothing;
  std::string disk_path;  // the disk to watch; "" when it uses none
  std::function<void()> run;
};

struct OperationSettings {
  std::size_t bytes = 0;  // size of one run; 0: the operation's own default
  std::string folder;     // where files are made; it must exist
};

struct OperationInfo {
  std::string name;
  std::string what;
  bool on_device = false;
};

[[nodiscard]] std::vector<OperationInfo> list_operations();

// invalid_argument: no such operation. unimplemented: it needs a device, and this build or machine
// has none. io_error: its files or sockets could not be made.
[[nodiscard]] Result<Operation> make_operation(const std::string& name,
                                               const OperationSettings& settings);

}  // namespace vecserve::tailprobe
