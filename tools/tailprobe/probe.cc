// The probing loop. Dear readings serve as the baseline of the next slow run: for operations of a
// few microseconds they are taken every 256 runs, for longer ones after every run, so that their
// cost stays below a twentieth of the run either way. After counters, before output.
// Always holds: a baseline is taken outside the stamps, so it slows no measured run but through the
// caches.
#include "tools/tailprobe/probe.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "tools/tailprobe/control.h"

namespace vecserve::tailprobe {
namespace {

// Dear readings take about 2.5 µs: below a twentieth of 50 µs, and 10 ns shared by 256 runs.
constexpr double kLongRunUs = 50.0;
constexpr std::size_t kRunsPerBaseline = 256;
// What others wrote so recently may still be on its way through the disk's cache.
constexpr double kDiskMemoryUs = 20'000.0;

double median_of(std::vector<double> values) {
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// What one run usually does to the counters.
struct Usual {
  double off_cpu_us = 0.0, run_delay_us = 0.0, voluntary = 0.0, involuntary = 0.0;
  double minor_faults = 0.0, allocations = 0.0, allocated_bytes = 0.0, disk_bytes = 0.0;
};

struct DiskMark {
  std::uint64_t ticks = 0;
  std::uint64_t bytes = 0;
  std::size_t run = 0;
};

struct Raw {
  std::size_t index;
  Counters before, after;
  std::size_t runs;  // since `before`
  std::uint64_t clock_ticks;
  bool migrated;
  double usual_off_cpu_us;  // per run, as it was then
  DiskMark disk;            // 20 to 40 ms earlier
};

double difference(std::uint64_t after, std::uint64_t before) {
  return static_cast<double>(after - before);
}

double off_cpu_us(const Counters& before, const Counters& after, double us_per_tick) {
  const double wall = difference(after.ticks, before.ticks) * us_per_tick;
  return std::max(0.0, wall - (after.cpu_us - before.cpu_us));
}

class Prober {
 public:
  Prober(const Operation& operation, const ProbeOptions& options)
      : operation_(operation), options_(options), reader_(operation.disk_path) {}

  ProbeResult run(const std::function<void(std::size_t)>& before_run) {
    warm_up();
    result_.samples.resize(options_.count);  // written here, so that no run meets a fresh page
    raw_.reserve(options_.slow_max);
    result_.knows_run_delay = reader_.knows_run_delay();
    ControlThread control;
    measure(before_run);
    result_.us_per_tick = scale_.us_per_tick();
    control.stop();
    result_.control_late_us = control.lateness_us();
    explain(control);
    return std::move(result_);
  }

 private:
  // The median of every counter over the warm-up's runs: one stall in it is not usual.
  void warm_up() {
    std::vector<double> durations;
    std::vector<Usual> usuals;
    for (std::size_t i = 0; i < std::max<std::size_t>(options_.warm_up, 3); ++i) {
      const Counters before = reader_.read();
      operation_.run();
      const Counters after = reader_.read();
      const double scale = scale_.us_per_tick();
      durations.push_back(difference(after.ticks, before.ticks) * scale);
      usuals.push_back({off_cpu_us(before, after, scale), after.run_delay_us - before.run_delay_us,
                        difference(after.voluntary, before.voluntary),
                        difference(after.involuntary, before.involuntary),
                        difference(after.minor_faults, before.minor_faults),
                        difference(after.allocations, before.allocations),
                        difference(after.allocated_bytes, before.allocated_bytes),
                        difference(after.disk_bytes, before.disk_bytes)});
      clock_best_ = std::min(clock_best_, clock_check_ticks());
    }
    const auto usual = [&](double Usual::*member) {
      std::vector<double> values;
      for (const Usual& one : usuals) values.push_back(one.*member);
      return median_of(std::move(values));
    };
    usual_ = {usual(&Usual::off_cpu_us),      usual(&Usual::run_delay_us),
              usual(&Usual::voluntary),       usual(&Usual::involuntary),
              usual(&Usual::minor_faults),    usual(&Usual::allocations),
              usual(&Usual::allocated_bytes), usual(&Usual::disk_bytes)};
    // The threshold is about the operation alone, without the readings around it.
    std::vector<double> bare;
    for (std::size_t i = 0; i < durations.size(); ++i) {
      const std::uint64_t begin = stamp_now().ticks;
      operation_.run();
      bare.push_back(static_cast<double>(stamp_now().ticks - begin));
    }
    const double median_ticks = median_of(std::move(bare));
    follow_median(static_cast<std::uint64_t>(median_ticks));
    runs_per_baseline_ = median_ticks * scale_.us_per_tick() >= kLongRunUs ? 1 : kRunsPerBaseline;
  }

  void follow_median(std::uint64_t ticks) {
    median_ticks_ = ticks;
    threshold_ticks_ =
        static_cast<std::uint64_t>(static_cast<double>(ticks) * options_.slow_factor) + 1;
  }

  // The same for the time that a run usually waits, when there is a reading of every run.
  void follow_off_cpu(double us) {
    const double step = std::max(usual_.off_cpu_us / 128.0, 0.05);
    usual_.off_cpu_us = std::max(0.0, usual_.off_cpu_us + (us > usual_.off_cpu_us ? step : -step));
  }

  void measure(const std::function<void(std::size_t)>& before_run) {
    const double us_per_tick = scale_.us_per_tick();
    const std::uint64_t end_ticks =
        stamp_now().ticks + static_cast<std::uint64_t>(options_.seconds_max * 1e6 / us_per_tick);
    Counters baseline = reader_.read();
    disk_marks_.fill({baseline.ticks, baseline.disk_bytes, 0});
    std::size_t runs = 0;
    for (std::size_t i = 0; i < options_.count; ++i) {
      if (before_run) before_run(i);
      const Stamp begin = stamp_now();
      operation_.run();
      const Stamp end = stamp_now();
      const std::uint64_t ticks = end.ticks - begin.ticks;
      result_.samples[i] = {begin.ticks, ticks};
      ++runs;
      // A step of one part in 128 towards each run's time ends up where half are above: the median
      // as it is now, should the warm-up not have been like the rest.
      const std::uint64_t step = (median_ticks_ >> 7) + 1;
      follow_median(ticks > median_ticks_ ? median_ticks_ + step
                                          : median_ticks_ - std::min(step, median_ticks_));
      if (ticks > threshold_ticks_) [[unlikely]] {
        const Counters after = reader_.read();
        if (raw_.size() < options_.slow_max) {
          raw_.push_back({i, baseline, after, runs, clock_check_ticks(),
                          begin.processor != end.processor, usual_.off_cpu_us, disk_marks_[0]});
        }
        runs = kRunsPerBaseline;  // the next run gets a fresh baseline
      }
      if (runs >= runs_per_baseline_) {
        const Counters now = reader_.read();
        if (runs == 1) follow_off_cpu(off_cpu_us(baseline, now, us_per_tick));
        baseline = now;
        runs = 0;
        if (static_cast<double>(now.ticks - disk_marks_[1].ticks) * us_per_tick > kDiskMemoryUs) {
          disk_marks_ = {disk_marks_[1], DiskMark{now.ticks, now.disk_bytes, i}};
        }
      }
      if (end.ticks > end_ticks) [[unlikely]] {
        result_.samples.resize(i + 1);
        break;
      }
    }
  }

  Evidence evidence_of(const Raw& raw, double excess_us, double duration_us) const {
    const auto runs = static_cast<double>(raw.runs);
    const Counters &before = raw.before, &after = raw.after;
    const auto beyond = [&](std::uint64_t now, std::uint64_t then, double usual) {
      return std::max(0.0, difference(now, then) - usual * runs);
    };
    Evidence evidence;
    evidence.excess_us = excess_us;
    evidence.duration_us = duration_us;
    evidence.off_cpu_us =
        std::max(0.0, off_cpu_us(before, after, result_.us_per_tick) - raw.usual_off_cpu_us * runs);
    evidence.run_delay_us =
        std::max(0.0, after.run_delay_us - before.run_delay_us - usual_.run_delay_us * runs);
    // Whether it gave the processor up is a question of at least one switch, not of more than
    // usual: an operation that always waits waits in the slow run too.
    evidence.voluntary = difference(after.voluntary, before.voluntary);
    evidence.involuntary = difference(after.involuntary, before.involuntary);
    evidence.minor_faults = beyond(after.minor_faults, before.minor_faults, usual_.minor_faults);
    evidence.major_faults = difference(after.major_faults, before.major_faults);
    evidence.allocations = beyond(after.allocations, before.allocations, usual_.allocations);
    evidence.allocated_bytes =
        beyond(after.allocated_bytes, before.allocated_bytes, usual_.allocated_bytes);
    evidence.foreign_bytes =
        std::max(0.0, difference(after.disk_bytes, raw.disk.bytes) -
                          usual_.disk_bytes * static_cast<double>(raw.index - raw.disk.run + 1));
    evidence.foreign_requests =
        static_cast<double>(std::max(before.disk_in_flight, after.disk_in_flight));
    evidence.run_delay_known = result_.knows_run_delay;
    evidence.migrated = raw.migrated;
    evidence.clock_ratio = static_cast<double>(raw.clock_ticks) /
                           static_cast<double>(std::max<std::uint64_t>(clock_best_, 1));
    return evidence;
  }

  void explain(const ControlThread& control) {
    std::vector<double> durations;
    durations.reserve(result_.samples.size());
    for (std::size_t i = 0; i < result_.samples.size(); ++i) {
      durations.push_back(result_.duration_us(i));
    }
    result_.median_us = median_of(std::move(durations));
    for (std::size_t i = 0; i < result_.samples.size(); ++i) {
      if (result_.duration_us(i) > result_.median_us * options_.slow_factor) ++result_.slow_total;
    }
    result_.threshold_us = result_.median_us * options_.slow_factor;
    const double usual_late_us = median_of(result_.control_late_us);
    const Costs costs = measure_costs();
    const auto moment = [&](std::uint64_t ticks) {
      const double us = static_cast<double>(ticks - scale_.start_ticks()) * result_.us_per_tick;
      return scale_.start() + std::chrono::nanoseconds(static_cast<std::int64_t>(us * 1e3));
    };
    for (const Raw& raw : raw_) {
      if (result_.duration_us(raw.index) <= result_.threshold_us) continue;  // slow in its time
      const Sample& sample = result_.samples[raw.index];
      SlowSample slow;
      slow.index = raw.index;
      slow.at_s = difference(sample.start_ticks, result_.samples.front().start_ticks) *
                  result_.us_per_tick * 1e-6;
      slow.duration_us = result_.duration_us(raw.index);
      const double excess_us = std::max(0.0, slow.duration_us - result_.median_us);
      slow.evidence = evidence_of(raw, excess_us, slow.duration_us);
      slow.evidence.control_late_us =
          std::max(0.0, control.late_within_us(moment(sample.start_ticks),
                                               moment(sample.start_ticks + sample.ticks)) -
                            usual_late_us);
      slow.causes = judge(slow.evidence, operation_.waits, costs);
      result_.excess_us += excess_us;
      for (const NamedCause& cause : slow.causes) result_.explained_us += cause.explained_us;
      result_.slow.push_back(std::move(slow));
    }
  }

  const Operation& operation_;
  const ProbeOptions options_;
  TickScale scale_;
  CounterReader reader_;
  Usual usual_;
  std::vector<Raw> raw_;
  std::array<DiskMark, 2> disk_marks_;
  std::uint64_t median_ticks_ = 0;
  std::uint64_t threshold_ticks_ = 0;
  std::uint64_t clock_best_ = UINT64_MAX;
  std::size_t runs_per_baseline_ = 1;
  ProbeResult result_;
};

}  // namespace

ProbeResult probe(const Operation& operation, const ProbeOptions& options,
                  const std::function<void(std::size_t)>& before_run) {
  return Prober(operation, options).run(before_run);
}

double measure_fast_path_ns() {
  const Operation nothing{"nothing", "", Waits::nothing, "", [] {}};
  ProbeOptions options;
  options.count = 100'000;
  options.slow_factor = 1e6;  // none is slow: this is the path of all others
  std::vector<double> rounds;
  for (int round = 0; round < 7; ++round) {
    const ProbeResult result = probe(nothing, options);
    const Sample &first = result.samples.front(), &last = result.samples.back();
    rounds.push_back(difference(last.start_ticks, first.start_ticks) * result.us_per_tick * 1e3 /
                     static_cast<double>(result.samples.size() - 1));
  }
  return *std::min_element(rounds.begin(), rounds.end());
}

Costs measure_costs() {
  constexpr std::size_t kPages = 256, kPageBytes = 4096;
  Costs costs;
  const TickScale scale;
  std::vector<double> faults, allocations;
  for (int round = 0; round < 9; ++round) {
    void* const memory = mmap(nullptr, kPages * kPageBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return costs;
    auto* const pages = static_cast<volatile char*>(memory);
    const std::uint64_t begin = stamp_now().ticks;
    for (std::size_t page = 0; page < kPages; ++page) pages[page * kPageBytes] = 1;
    faults.push_back(static_cast<double>(stamp_now().ticks - begin) / kPages);
    munmap(memory, kPages * kPageBytes);
    const std::uint64_t start = stamp_now().ticks;
    for (std::size_t i = 0; i < kPages; ++i) ::operator delete(::operator new(64 + i % 8 * 512));
    allocations.push_back(static_cast<double>(stamp_now().ticks - start) / kPages);
  }
  const double us_per_tick = scale.us_per_tick();
  costs.fault_us = median_of(std::move(faults)) * us_per_tick;
  costs.allocation_us = median_of(std::move(allocations)) * us_per_tick;
  return costs;
}

}  // namespace vecserve::tailprobe
