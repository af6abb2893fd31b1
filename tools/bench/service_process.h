// A server program as a child of a bench: started on cores of its own, watched, ended. Comes below
// bench_overload; main thread. Always holds: the child is gone when its object is, and what it said
// on standard error is in a file that is named when it does not come up.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace vecserve::bench {

// The cores that this process may use, in two halves: one for the server, one for the load. Both
// are all of them where there are fewer than four.
struct CoreHalves {
  std::vector<int> server;
  std::vector<int> load;
};
[[nodiscard]] CoreHalves halve_cores();
// For the calling thread and those that it starts from now on.
void use_cores(const std::vector<int>& cores);

// The program `name` beside this one; "" when it is not there.
[[nodiscard]] std::string program_beside(const std::string& name);

class ServiceProcess {
 public:
  // Starts it on `cores`; throws std::runtime_error when that fails.
  ServiceProcess(const std::string& program, const std::vector<std::string>& arguments,
                 const std::vector<int>& cores, std::string error_file);
  // SIGTERM, and waits for its end.
  ~ServiceProcess();
  ServiceProcess(const ServiceProcess&) = delete;
  ServiceProcess& operator=(const ServiceProcess&) = delete;

  [[nodiscard]] bool running();
  // Resident memory in MiB; 0 when it cannot be read.
  [[nodiscard]] double resident_mib() const;
  [[nodiscard]] const std::string& error_file() const { return error_file_; }

 private:
  pid_t pid_ = -1;
  std::string error_file_;
};

}  // namespace vecserve::bench
