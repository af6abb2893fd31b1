// What a scan costs on the device and on the CPU, from measurements, and so which of the two should
// do it. Comes beside gpu_scanner. Any thread. Always holds: the choice changes the cost of a
// search, never its answer; before anything was measured the estimates are cautious.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace vecserve::engine::gpu {

class ScanCosts {
 public:
  // An empty round trip took `least_ns`, one that wrote `bytes` took `most_ns`.
  void set_device(std::uint64_t least_ns, std::size_t bytes, std::uint64_t most_ns);
  // A scan of so many bytes of rows, for so many queries, on the CPU with so many threads.
  void note_cpu(std::uint64_t bytes, std::size_t queries, std::uint32_t threads, std::uint64_t ns);
  void note_device(std::uint64_t bytes, std::size_t queries, std::uint64_t ns);

  [[nodiscard]] double cpu_ns(std::uint64_t bytes, std::size_t queries,
                              std::uint32_t threads) const;
  [[nodiscard]] double device_ns(std::uint64_t bytes, std::size_t queries) const;
  [[nodiscard]] bool device_is_faster(std::uint64_t bytes, std::size_t queries,
                                      std::uint32_t threads) const {
    return device_ns(bytes, queries) < cpu_ns(bytes, queries, threads);
  }

 private:
  std::atomic<double> fixed_ns_{200'000.0};   // of a scan on the device, whatever its size
  std::atomic<double> device_byte_ns_{1e-3};  // 1 TB/s
  std::atomic<double> cpu_byte_ns_{0.08};     // 12 GB/s for one thread and one query
};

}  // namespace vecserve::engine::gpu
