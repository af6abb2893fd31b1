// See gpu_cases.h.
// Times are of whole searches on the calling thread: scan and rescoring; the scan is also given
// alone. Always holds: the first searches of a case, which warm up what is warm later, are not
// counted.
#include "tools/bench/gpu_cases.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

#include "engine/scan/rescore.h"

namespace vecserve::bench {

using namespace engine;

namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr std::uint32_t kWarmUp = 3;
constexpr std::size_t kPoolRows = 4'096;  // vectors that inserts take in turn

double us_since(SteadyClock::time_point start) {
  return std::chrono::duration<double, std::micro>(SteadyClock::now() - start).count();
}

struct Times {
  std::vector<double> all_us;
  std::vector<double> scan_us;
  std::uint64_t certified = 0;
  std::uint64_t sketch_rows = 0;
};

ScanRequest request_of(const GpuRows& rows, std::span<const ScanBlock> blocks, const ScanMask& mask,
                       const GpuQueries& queries) {
  ScanRequest request;
  request.shape = rows.shape();
  request.blocks = blocks;
  request.masks = std::span(&mask, 1);
  request.queries = queries.views();
  return request;
}

// One search; `best` is the answer of its last query.
void search(const GpuBench& bench, const ScanRequest& request, ScanResult& result,
            std::vector<Scored>& best, Times* times) {
  const auto start = SteadyClock::now();
  require(bench.scanner.scan(request, result).ok() && result.backend.empty(),
          "the GPU did not answer");
  const double scanned = us_since(start);
  std::uint64_t certified = 0;
  std::vector<Candidate> spare;
  for (std::size_t q = 0; q < request.queries.size(); ++q) {
    const ScanQuery& query = request.queries[q];
    const Decision decision =
        rescore(request.shape, request.blocks, query, query.k, result.queries[q], spare, best);
    if (decision.certified) ++certified;
  }
  if (times == nullptr) return;
  times->all_us.push_back(us_since(start));
  times->scan_us.push_back(scanned);
  times->certified += certified;
  times->sketch_rows += result.counts.sketch;
}

nlohmann::ordered_json line(const GpuBench& bench, const char* name) {
  return {{"case", name},
          {"backend", bench.scanner.name()},
          {"data", bench.data},
          {"rows", bench.rows.count()},
          {"dim", bench.rows.shape().dim},
          {"vectors", bench.gpu->mirror().report().full_rows}};
}

// Rows past those of the bench, in blocks of their own; one thread inserts, others read `count`.
class Growing {
 public:
  Growing(const GpuBench& bench, std::uint32_t most) : bench_(bench) {
    const RowShape& shape = bench.rows.shape();
    for (std::uint32_t r = 0; r < most; r += shape.capacity) {
      held_.push_back(std::make_unique<RowBlock>(shape, AlignedBuffer::Use::full));
    }
    for (std::size_t p = 0; p < kPoolRows; ++p) pool_.push_back(bench.rows.vector(number(p)));
    all_.assign(shape.capacity / 64, ~std::uint64_t{0});
  }
  // Numbers of vectors, far from those of rows and queries.
  [[nodiscard]] static std::uint64_t number(std::uint64_t row) {
    return std::uint64_t{3'000'000'019} + row % kPoolRows;
  }
  [[nodiscard]] std::uint64_t count() const { return count_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t room() const {
    return std::uint64_t{held_.size()} * bench_.rows.shape().capacity;
  }
  // Appends and acknowledges; then brings over what is there, as the keeper of a database does.
  void insert(std::uint64_t rows) {
    const std::uint32_t capacity = bench_.rows.shape().capacity;
    const std::uint64_t from = count();
    const std::uint64_t to = std::min(from + rows, room());
    for (std::uint64_t r = from; r < to; ++r) {
      const auto* const vector = reinterpret_cast<const std::byte*>(pool_[r % kPoolRows].data());
      held_[r / capacity]->append(bench_.rows.count() + r, IdView(r), vector, 0);
    }
    count_.store(to, std::memory_order_release);
    for (std::uint64_t b = from / capacity; b * capacity < to; ++b) {
      const auto there = std::min<std::uint64_t>(to - b * capacity, capacity);
      const Status covered =
          bench_.gpu->mirror().cover(*held_[b], static_cast<std::uint32_t>(there));
      require(covered.ok(), covered.to_string());
      if (!bench_.gpu->tuning().full) continue;
      const auto rows_there = static_cast<std::uint32_t>(there);
      static_cast<void>(bench_.gpu->mirror().cover_full(*held_[b], rows_there, rows_there));
    }
  }
  // The bench's blocks and those that are here, and who is eligible in them: everybody.
  void see(const GpuMask& old, std::vector<ScanBlock>& blocks, ScanMask& mask) const {
    blocks = bench_.rows.blocks();
    mask = old.mask;
    const std::uint32_t capacity = bench_.rows.shape().capacity;
    const std::uint64_t rows = count();
    for (std::uint64_t b = 0; b * capacity < rows; ++b) {
      const auto there =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(rows - b * capacity, capacity));
      blocks.push_back({held_[b].get(), there, nullptr});
      mask.words.push_back(all_.data());
      mask.eligible.push_back(there);
    }
  }
  void forget() {
    for (const auto& block : held_) bench_.gpu->mirror().forget(block->serial());
  }

 private:
  const GpuBench& bench_;
  std::vector<std::unique_ptr<RowBlock>> held_;
  std::vector<std::vector<float>> pool_;
  std::vector<std::uint64_t> all_;
  std::atomic<std::uint64_t> count_{0};
};

// Searches for `seconds`, each for a row that is there or the one acknowledged last.
std::uint64_t search_beside(const GpuBench& bench, const Growing& growing, double seconds,
                            Times& times) {
  const GpuMask all(bench.rows.blocks(), 1, 1);
  GpuQueries query(bench.rows, 1, 10);
  std::vector<ScanBlock> blocks;
  ScanMask mask;
  ScanResult result;
  std::vector<Scored> best;
  std::uint64_t missed = 0;
  const auto end = SteadyClock::now() + std::chrono::duration<double>(seconds);
  while (SteadyClock::now() < end) {
    const std::uint64_t there = growing.count();
    if (there != 0) query.aim_at(bench.rows, Growing::number(there - 1));
    growing.see(all, blocks, mask);
    search(bench, request_of(bench.rows, blocks, mask, query), result, best, &times);
    if (there != 0 && (best.empty() || best[0].distance > 1e-9)) ++missed;
  }
  return missed;
}

}  // namespace

void bench_exact(const GpuBench& bench, const char* name, std::uint32_t batch, std::uint32_t k,
                 std::uint32_t scans) {
  const GpuMask all(bench.rows.blocks(), 1, 1);
  const GpuQueries queries(bench.rows, batch, k);
  const ScanRequest request = request_of(bench.rows, bench.rows.blocks(), all.mask, queries);
  ScanResult result;
  std::vector<Scored> best;
  Times times;
  for (std::uint32_t s = 0; s < kWarmUp; ++s) search(bench, request, result, best, nullptr);
  for (std::uint32_t s = 0; s < scans; ++s) search(bench, request, result, best, &times);
  const double middle = percentile(times.all_us, 0.5);
  const double scan = percentile(times.scan_us, 0.5);
  const double tail = percentile(times.all_us, 0.999);
  const auto rows = static_cast<double>(bench.rows.count());
  const double bytes = rows * static_cast<double>(CoarsePlane::bytes_per_row(bench.rows.shape()));
  nlohmann::ordered_json figures = line(bench, name);
  figures.update(
      {{"batch", batch},
       {"k", k},
       {"scans", scans},
       {"kernel", bench.gpu->tuning().group == gpu::GroupKernel::wgmma ? "wgmma" : "mma"},
       {"p50_us", middle},
       {"p99_us", percentile(times.all_us, 0.99)},
       {"p999_us", tail},
       {"tail", tail / middle},
       {"scan_us", scan},
       {"gb_s", bytes / scan / 1e3},
       {"tops", 2.0 * rows * bench.rows.shape().dim * batch / scan / 1e6},
       {"sketched", times.sketch_rows != 0},
       {"certified", static_cast<double>(times.certified) / (static_cast<double>(batch) * scans)}});
  bench.report.add(figures);
}

void bench_filter(const GpuBench& bench) {
  const GpuMask all(bench.rows.blocks(), 1, 1);
  const GpuMask few(bench.rows.blocks(), 100, 7);
  const GpuQueries queries(bench.rows, 1, 10);
  ScanResult result;
  std::vector<Scored> best;
  Times without;
  Times with;
  for (std::uint32_t s = 0; s < kWarmUp + bench.scans; ++s) {
    const bool counts = s >= kWarmUp;
    search(bench, request_of(bench.rows, bench.rows.blocks(), all.mask, queries), result, best,
           counts ? &without : nullptr);
    search(bench, request_of(bench.rows, bench.rows.blocks(), few.mask, queries), result, best,
           counts ? &with : nullptr);
    for (const Scored& row : best) {
      require((few.words[row.block][row.position / 64] >> (row.position % 64) & 1) != 0,
              "an answer that the filter left out");
    }
  }
  nlohmann::ordered_json figures = line(bench, "filter");
  figures.update({{"keeps", 0.01},
                  {"p50_us", percentile(with.all_us, 0.5)},
                  {"unfiltered_p50_us", percentile(without.all_us, 0.5)},
                  {"ratio", percentile(with.all_us, 0.5) / percentile(without.all_us, 0.5)}});
  bench.report.add(figures);
}

void bench_delete(const GpuBench& bench) {
  GpuMask alive(bench.rows.blocks(), 1, 1);
  GpuQueries query(bench.rows, 1, 10);
  query.aim_at(bench.rows, 0);
  ScanResult result;
  std::vector<Scored> best;
  const ScanRequest request = request_of(bench.rows, bench.rows.blocks(), alive.mask, query);
  search(bench, request, result, best, nullptr);
  require(!best.empty() && best[0].block == 0 && best[0].position == 0, "row 0 was not found");
  const std::uint32_t capacity = bench.rows.shape().capacity;
  const std::uint64_t deleted = std::min<std::uint64_t>(bench.delete_rows, bench.rows.count());
  const auto start = SteadyClock::now();
  for (std::uint64_t i = 0; i < deleted; ++i) {
    const std::uint64_t row = i * bench.rows.count() / deleted;
    alive.remove(row / capacity, static_cast<std::uint32_t>(row % capacity));
  }
  const double bits_us = us_since(start);
  std::vector<gpu::Mirror::Live> live;
  for (std::size_t b = 0; b < alive.words.size(); ++b) {
    const gpu::LiveWords words(std::shared_ptr<const void>(), alive.words[b].data());
    live.push_back(
        {bench.rows.blocks()[b].block->serial(), words, (bench.rows.blocks()[b].count + 63) / 64});
  }
  Times sent;
  for (std::uint32_t s = 0; s < bench.scans; ++s) search(bench, request, result, best, &sent);
  require(best.empty() || best[0].block != 0 || best[0].position != 0, "row 0 was found");
  const auto begin = SteadyClock::now();
  require(bench.gpu->mirror().cover_live(live).ok(), "live bits could not be mirrored");
  const double mirror_us = us_since(begin);
  Times there;
  for (std::uint32_t s = 0; s < bench.scans; ++s) search(bench, request, result, best, &there);
  require(best.empty() || best[0].block != 0 || best[0].position != 0, "row 0 was found");
  for (gpu::Mirror::Live& block : live) block.words = nullptr;
  require(bench.gpu->mirror().cover_live(live).ok(), "live bits could not be dropped");
  nlohmann::ordered_json figures = line(bench, "delete");
  figures.update({{"deleted", deleted},
                  {"bits_us", bits_us},
                  {"mirror_us", mirror_us},
                  {"sent_p50_us", percentile(sent.all_us, 0.5)},
                  {"there_p50_us", percentile(there.all_us, 0.5)}});
  bench.report.add(figures);
}

void bench_insert(const GpuBench& bench) {
  const auto most = static_cast<std::uint32_t>(bench.insert_rate * bench.seconds * 1.1);
  Growing growing(bench, std::max(most, 1u));
  Times quiet;
  std::uint64_t missed = search_beside(bench, growing, bench.seconds, quiet);
  std::atomic<bool> stop{false};
  const auto start = SteadyClock::now();
  double insert_us = 0.0;
  std::thread writer([&] {
    // A batch each millisecond; what came late is made up for.
    while (!stop.load(std::memory_order_acquire) && growing.count() < growing.room()) {
      const double due = us_since(start) * 1e-6 * bench.insert_rate;
      if (due > static_cast<double>(growing.count()) + bench.insert_rate * 1e-3) {
        growing.insert(static_cast<std::uint64_t>(due) - growing.count());
      } else {
        std::this_thread::yield();
      }
    }
    insert_us = us_since(start);
  });
  Times busy;
  missed += search_beside(bench, growing, bench.seconds, busy);
  stop.store(true, std::memory_order_release);
  writer.join();
  nlohmann::ordered_json figures = line(bench, "insert");
  const double quiet_p99 = percentile(quiet.all_us, 0.99);
  const double busy_p99 = percentile(busy.all_us, 0.99);
  figures.update({{"asked_rows_s", bench.insert_rate},
                  {"rows_s", static_cast<double>(growing.count()) / insert_us * 1e6},
                  {"searches", busy.all_us.size()},
                  {"missed", missed},
                  {"quiet_p50_us", percentile(quiet.all_us, 0.5)},
                  {"quiet_p99_us", quiet_p99},
                  {"p50_us", percentile(busy.all_us, 0.5)},
                  {"p99_us", busy_p99},
                  {"ratio", busy_p99 / quiet_p99}});
  growing.forget();
  bench.report.add(figures);
  require(missed == 0, "an acknowledged row was not found");

  Growing fast(bench, bench.insert_rows);
  const auto begin = SteadyClock::now();
  while (fast.count() < fast.room()) fast.insert(bench.rows.shape().capacity);
  const double fast_us = us_since(begin);
  nlohmann::ordered_json rate = line(bench, "insert_fast");
  rate.update(
      {{"inserted", fast.count()}, {"rows_s", static_cast<double>(fast.count()) / fast_us * 1e6}});
  fast.forget();
  bench.report.add(rate);
}

}  // namespace vecserve::bench
