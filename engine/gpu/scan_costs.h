// What a scan costs on the device and on the CPU, from measurements, and so which of the two should
// do it; and on the device, whether sketches pay, by what they let pass lately. Comes beside
// gpu_scanner. Any thread. Always holds: the choice changes the cost of a search, never its answer;
// before anything was measured the estimates are cautious.
#pragma once

#include <array>
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

  // Of the bytes that a row has in each plane.
  struct RowBytes {
    double first = 0.0;
    double fine = 0.0;
    double coarse = 0.0;
  };
  // Whether rows along those axes (known by their address) are scanned faster by their sketches;
  // axes that nothing is known of are tried, and others once in a while, for rows change.
  [[nodiscard]] bool sketches_pay(const void* axes, const RowBytes& bytes);
  // Of so many rows that many passed the first stripe, and both.
  void note_sifted(const void* axes, std::uint64_t rows, std::uint64_t first, std::uint64_t all);

  [[nodiscard]] double cpu_ns(std::uint64_t bytes, std::size_t queries,
                              std::uint32_t threads) const;
  [[nodiscard]] double device_ns(std::uint64_t bytes, std::size_t queries) const;
  [[nodiscard]] bool device_is_faster(std::uint64_t bytes, std::size_t queries,
                                      std::uint32_t threads) const {
    return device_ns(bytes, queries) < cpu_ns(bytes, queries, threads);
  }

 private:
  // Shares of the rows; axes that meet in one place cost each other time and nothing else.
  struct Passing {
    std::atomic<double> first{0.0};
    std::atomic<double> all{0.0};
    std::atomic<std::uint32_t> asked{0};  // since they were tried last
  };
  static constexpr std::size_t kPlaces = 64;
  [[nodiscard]] Passing& place_of(const void* axes);

  std::array<Passing, kPlaces> passing_;
  std::atomic<double> fixed_ns_{200'000.0};   // of a scan on the device, whatever its size
  std::atomic<double> device_byte_ns_{1e-3};  // 1 TB/s
  std::atomic<double> cpu_byte_ns_{0.08};     // 12 GB/s for one thread and one query
};

}  // namespace vecserve::engine::gpu
