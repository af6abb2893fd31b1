// See scan_costs.h.
// Relaxed throughout: a number that is a little old costs a little time. Always holds: no estimate
// becomes zero, negative or infinite, whatever a clock says.
#include "engine/gpu/scan_costs.h"

#include <algorithm>

namespace vecserve::engine::gpu {

namespace {

// A scan on the device is about eight launches and two copies, of which the round trip had one.
constexpr double kRoundTrips = 4.0;
// Queries that share one pass over the rows on the CPU, and on the device.
constexpr double kQueriesPerPassCpu = 4.0;
constexpr double kQueriesPerPassDevice = 64.0;
// Each measurement moves an estimate by this share.
constexpr double kShare = 0.1;

double passes(std::size_t queries, double per_pass) {
  return std::max(1.0, static_cast<double>(queries) / per_pass);
}

void move_to(std::atomic<double>& estimate, double measured, double least, double most) {
  const double old = estimate.load(std::memory_order_relaxed);
  const double next = old + kShare * (std::clamp(measured, least, most) - old);
  estimate.store(next, std::memory_order_relaxed);
}

// Rows that pass lie here and there: a byte of them costs so many bytes of rows in order.
constexpr double kGatherCost = 2.0;
// Sketches that do not pay are tried again each so many searches.
constexpr std::uint32_t kTryEvery = 256;

constexpr double kByteNsMin = 1e-5;
constexpr double kByteNsMax = 10.0;
constexpr double kFixedNsMin = 1e3;
constexpr double kFixedNsMax = 1e8;

}  // namespace

void ScanCosts::set_device(std::uint64_t least_ns, std::size_t bytes, std::uint64_t most_ns) {
  const auto least = static_cast<double>(least_ns);
  fixed_ns_.store(std::clamp(least * kRoundTrips, kFixedNsMin, kFixedNsMax),
                  std::memory_order_relaxed);
  const double rest = std::max(static_cast<double>(most_ns) - least, 0.0);
  const double byte_ns = rest / static_cast<double>(std::max<std::size_t>(bytes, 1));
  device_byte_ns_.store(std::clamp(byte_ns, kByteNsMin, kByteNsMax), std::memory_order_relaxed);
}

void ScanCosts::note_cpu(std::uint64_t bytes, std::size_t queries, std::uint32_t threads,
                         std::uint64_t ns) {
  if (bytes == 0 || queries == 0) return;
  const double work = static_cast<double>(bytes) * passes(queries, kQueriesPerPassCpu);
  const double byte_ns = static_cast<double>(ns) * static_cast<double>(threads) / work;
  move_to(cpu_byte_ns_, byte_ns, kByteNsMin, kByteNsMax);
}

void ScanCosts::note_device(std::uint64_t bytes, std::size_t queries, std::uint64_t ns) {
  const double scan = device_ns(bytes, queries) - fixed_ns_.load(std::memory_order_relaxed);
  move_to(fixed_ns_, static_cast<double>(ns) - scan, kFixedNsMin, kFixedNsMax);
}

ScanCosts::Passing& ScanCosts::place_of(const void* axes) {
  // Addresses differ above the lowest bits; the multiplication brings all of them to the top.
  const std::uint64_t mixed = (reinterpret_cast<std::uintptr_t>(axes) >> 4) * 0x9e3779b97f4a7c15u;
  static_assert(kPlaces == 64);
  return passing_[mixed >> 58];
}

bool ScanCosts::sketches_pay(const void* axes, const RowBytes& bytes) {
  Passing& passing = place_of(axes);
  const double first = passing.first.load(std::memory_order_relaxed);
  const double all = passing.all.load(std::memory_order_relaxed);
  const double sifted = bytes.first + (first * bytes.fine + all * bytes.coarse) * kGatherCost;
  if (sifted < bytes.coarse) return true;
  return passing.asked.fetch_add(1, std::memory_order_relaxed) % kTryEvery == kTryEvery - 1;
}

void ScanCosts::note_sifted(const void* axes, std::uint64_t rows, std::uint64_t first,
                            std::uint64_t all) {
  if (rows == 0) return;
  Passing& passing = place_of(axes);
  const auto of = static_cast<double>(rows);
  move_to(passing.first, static_cast<double>(first) / of, 0.0, 1.0);
  move_to(passing.all, static_cast<double>(all) / of, 0.0, 1.0);
}

double ScanCosts::cpu_ns(std::uint64_t bytes, std::size_t queries, std::uint32_t threads) const {
  return static_cast<double>(bytes) * cpu_byte_ns_.load(std::memory_order_relaxed) *
         passes(queries, kQueriesPerPassCpu) / static_cast<double>(std::max(threads, 1u));
}

double ScanCosts::device_ns(std::uint64_t bytes, std::size_t queries) const {
  return fixed_ns_.load(std::memory_order_relaxed) +
         static_cast<double>(bytes) * device_byte_ns_.load(std::memory_order_relaxed) *
             passes(queries, kQueriesPerPassDevice);
}

}  // namespace vecserve::engine::gpu
