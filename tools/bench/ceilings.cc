// The loops behind ceilings.h, one per instruction set where the compiler cannot be trusted to find
// the best form itself. Comes below exact_search. Each thread of a measurement works on its own
// slice and its own registers. Always holds: every result ends in a volatile, so nothing is
// skipped.
#include "tools/bench/ceilings.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "tools/bench/bench_report.h"
#include "tools/bench/widths.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace vecserve::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kHugePage = std::size_t{2} << 20;

volatile float float_sink = 0.0f;
volatile std::uint64_t word_sink = 0;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// ---- one step of each loop: returns how many terms it made
// ---------------------------------------

using Step = double (*)();

using Line [[gnu::vector_size(64), gnu::may_alias]] = std::uint64_t;

// Two streams at once, four cache lines of each: more than one stream, or one of single lines, was
// found to reach on the machines tried.
VECSERVE_BENCH_WIDTHS void read_slice(const std::byte* data, std::size_t bytes) {
  constexpr std::size_t kLines = 4;
  const std::size_t half = bytes / 2 / (kLines * sizeof(Line)) * (kLines * sizeof(Line));
  Line sums[2 * kLines] = {};
  for (std::size_t i = 0; i < half; i += kLines * sizeof(Line)) {
    for (std::size_t stream = 0; stream < 2; ++stream) {
      for (std::size_t j = 0; j < kLines; ++j) {
        Line line;
        std::memcpy(&line, data + stream * half + i + j * sizeof(Line), sizeof(line));
        sums[stream * kLines + j] += line;
      }
    }
  }
  std::uint64_t sum = 0;
  for (const Line& line : sums) sum += line[0];
  word_sink = sum;
}

constexpr int kRepeats = 20'000;

double plain_f32() {
  float sums[64] = {};
  for (int i = 0; i < kRepeats; ++i) {
    for (float& sum : sums) sum = sum * 0.5f + 1.0f;
  }
  for (const float sum : sums) float_sink = sum;
  return 64.0 * kRepeats;
}

double plain_i8() {
  std::int32_t sums[64] = {};
  std::int8_t factors[64];
  for (int i = 0; i < 64; ++i) factors[i] = static_cast<std::int8_t>(i);
  for (int i = 0; i < kRepeats; ++i) {
    const auto x = static_cast<std::int8_t>(i);
    for (int lane = 0; lane < 64; ++lane) sums[lane] += factors[lane] * x;
  }
  for (const std::int32_t sum : sums) word_sink = static_cast<std::uint64_t>(sum);
  return 64.0 * kRepeats;
}

#if defined(__x86_64__)
// Twelve sums: two multiplications can start each cycle and each takes four or five. The empty asm
// statements hide values from the compiler, which would else see that all sums are the same.
constexpr int kSums = 12;

[[gnu::target("avx512f")]] double avx512_f32() {
  __m512 sums[kSums];
  for (__m512& sum : sums) {
    sum = _mm512_set1_ps(1.0f);
    asm volatile("" : "+v"(sum));
  }
  const __m512 half = _mm512_set1_ps(0.5f);
  for (int i = 0; i < kRepeats; ++i) {
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, half, half);
  }
  for (const __m512& sum : sums) asm volatile("" : : "v"(sum));
  return 16.0 * kSums * kRepeats;
}

[[gnu::target("avx2,fma")]] double avx2_f32() {
  __m256 sums[kSums];
  for (__m256& sum : sums) {
    sum = _mm256_set1_ps(1.0f);
    asm volatile("" : "+x"(sum));
  }
  const __m256 half = _mm256_set1_ps(0.5f);
  for (int i = 0; i < kRepeats; ++i) {
#pragma GCC unroll 12
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, half, half);
  }
  for (const __m256& sum : sums) asm volatile("" : : "x"(sum));
  return 8.0 * kSums * kRepeats;
}

[[gnu::target("avx512f,avx512vnni")]] double vnni_i8() {
  __m512i sums[kSums];
  for (__m512i& sum : sums) {
    sum = _mm512_setzero_si512();
    asm volatile("" : "+v"(sum));
  }
  __m512i row = _mm512_set1_epi8(3);
  __m512i query = _mm512_set1_epi8(5);
  for (int i = 0; i < kRepeats; ++i) {
    asm volatile("" : "+v"(row), "+v"(query));
#pragma GCC unroll 12
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, row, query);
  }
  for (const __m512i& sum : sums) asm volatile("" : : "v"(sum));
  return 64.0 * kSums * kRepeats;
}

[[gnu::target("avx2")]] double avx2_i8() {
  constexpr int kByteSums = 6;  // three instructions each
  __m256i sums[kByteSums];
  for (__m256i& sum : sums) {
    sum = _mm256_setzero_si256();
    asm volatile("" : "+x"(sum));
  }
  __m256i row = _mm256_set1_epi8(3);
  __m256i query = _mm256_set1_epi8(5);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int i = 0; i < kRepeats; ++i) {
#pragma GCC unroll 6
    for (__m256i& sum : sums) {
      asm volatile("" : "+x"(row), "+x"(query));
      const __m256i pairs = _mm256_maddubs_epi16(row, query);
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
  }
  for (const __m256i& sum : sums) asm volatile("" : : "x"(sum));
  return 32.0 * kByteSums * kRepeats;
}

// Whether the processor has AMX for bytes and the system lets this process use it.
bool amx_granted() {
  constexpr unsigned kFeatures = 7;
  constexpr unsigned kTileBit = 1U << 24;
  constexpr unsigned kInt8Bit = 1U << 25;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  asm volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(kFeatures), "c"(0));
  if ((d & kTileBit) == 0 || (d & kInt8Bit) == 0) return false;
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

[[gnu::target("amx-tile,amx-int8")]] double amx_i8() {
  alignas(64) static const std::byte operand[1024] = {};
  const TileConfig config;
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, operand, 64);
  _tile_loadd(5, operand, 64);
  _tile_loadd(6, operand, 64);
  _tile_loadd(7, operand, 64);
  for (int i = 0; i < kRepeats; ++i) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_release();
  return 4.0 * 16 * 16 * 64 * kRepeats;
}
#endif

struct NamedStep {
  const char* unit = "";
  Step step = nullptr;
};

const std::vector<NamedStep>& f32_steps() {
  static const std::vector<NamedStep> steps = [] {
    std::vector<NamedStep> found;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) found.push_back({"avx512", avx512_f32});
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      found.push_back({"avx2", avx2_f32});
    }
#endif
    found.push_back({"plain", plain_f32});
    return found;
  }();
  return steps;
}

const std::vector<NamedStep>& i8_steps() {
  static const std::vector<NamedStep> steps = [] {
    std::vector<NamedStep> found;
#if defined(__x86_64__)
    if (amx_granted()) found.push_back({"amx", amx_i8});
    if (__builtin_cpu_supports("avx512vnni")) found.push_back({"vnni", vnni_i8});
    if (__builtin_cpu_supports("avx2")) found.push_back({"avx2", avx2_i8});
#endif
    found.push_back({"plain", plain_i8});
    return found;
  }();
  return steps;
}

Step step_of(const std::vector<NamedStep>& steps, const std::string& unit) {
  for (const NamedStep& step : steps) {
    if (unit == step.unit) return step.step;
  }
  return steps.back().step;
}

std::vector<std::string> names_of(const std::vector<NamedStep>& steps) {
  std::vector<std::string> names;
  for (const NamedStep& step : steps) names.emplace_back(step.unit);
  return names;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The sum of what `work(thread)` returns over all threads, per second. Each thread's own time
// counts, so that starting threads is not measured.
double rate(std::uint32_t threads, const std::function<double(std::uint32_t)>& work) {
  std::vector<double> rates(threads);
  const auto timed = [&](std::uint32_t thread) {
    const Clock::time_point start = Clock::now();
    const double amount = work(thread);
    rates[thread] = amount / since(start);
  };
  {
    std::vector<std::jthread> others;
    for (std::uint32_t i = 1; i < threads; ++i) others.emplace_back(timed, i);
    timed(0);
  }
  double sum = 0.0;
  for (const double one : rates) sum += one;
  return sum;
}

double repeat(Step step, double seconds) {
  const Clock::time_point start = Clock::now();
  double terms = 0.0;
  do {
    terms += step();
  } while (since(start) < seconds);
  return terms;
}

}  // namespace

CeilingProbe::CeilingProbe(std::uint32_t threads, std::size_t bytes, double seconds)
    : threads_(threads),
      seconds_(seconds),
      bytes_(std::max(bytes, kHugePage) / kHugePage * kHugePage),
      f32_unit_(f32_steps().front().unit),
      i8_unit_(i8_steps().front().unit),
      buffer_(static_cast<std::byte*>(std::aligned_alloc(kHugePage, bytes_)), std::free) {
  require(buffer_ != nullptr, "no memory for the read loop");
  madvise(buffer_.get(), bytes_, MADV_HUGEPAGE);  // in vain on some systems
  std::memset(buffer_.get(), 1, bytes_);
}

void CeilingProbe::measure() {
  const std::size_t slice = bytes_ / threads_ / 4096 * 4096;
  const double read = rate(threads_, [&](std::uint32_t thread) {
    const Clock::time_point start = Clock::now();
    double bytes = 0.0;
    do {
      read_slice(buffer_.get() + thread * slice, slice);
      bytes += static_cast<double>(slice);
    } while (since(start) < seconds_);
    return bytes;
  });
  const Step f32_step = step_of(f32_steps(), f32_unit_);
  const Step i8_step = step_of(i8_steps(), i8_unit_);
  const double f32 = rate(threads_, [&](std::uint32_t) { return repeat(f32_step, seconds_); });
  const double i8 = rate(threads_, [&](std::uint32_t) { return repeat(i8_step, seconds_); });
  best_.read_bytes = std::max(best_.read_bytes, read);
  best_.f32_terms = std::max(best_.f32_terms, f32);
  best_.i8_terms = std::max(best_.i8_terms, i8);
}

void CeilingProbe::use_units(const std::string& f32_unit, const std::string& i8_unit) {
  if (f32_unit != f32_unit_ || i8_unit != i8_unit_) forget();
  f32_unit_ = f32_unit;
  i8_unit_ = i8_unit;
}

std::vector<std::string> f32_units() {
  return names_of(f32_steps());
}

std::vector<std::string> i8_units() {
  return names_of(i8_steps());
}

std::string f32_unit_of(std::string_view kernels) {
  if (contains(kernels, "generic")) return "plain";
  return contains(kernels, "avx2") ? "avx2" : f32_units().front();
}

std::string i8_unit_of(std::string_view kernels) {
  for (const char* unit : {"amx", "vnni", "avx2"}) {
    if (contains(kernels, unit)) return unit;
  }
  return contains(kernels, "generic") ? "plain" : i8_units().front();
}

}  // namespace vecserve::bench
