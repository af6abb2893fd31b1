// Loads a data set, times calls of Collection::search, compares their answers. Comes between the
// data and bench_exact; main thread. Always holds: what is timed is the call alone, with a result
// object that is used again, as a caller in a hurry would do.
#include "tools/bench/exact_search.h"

#include <algorithm>
#include <chrono>

#include "engine/rows/coarse_plane.h"
#include "tools/bench/bench_report.h"
#include "tools/bench/ceilings.h"
#include "tools/bench/loaded_database.h"

namespace vecserve::bench {
namespace {

constexpr std::size_t kLoadBatch = 10'000;

std::string payload_of(std::size_t row) {
  return "{\"bucket\": " + std::to_string(bucket_of(row)) + "}";
}

void load(const Dataset& data, bool payload, Collection& rows) {
  std::vector<std::string> payloads(kLoadBatch);
  std::vector<RowInput> batch;
  for (std::size_t first = 0; first < data.row_count(); first += kLoadBatch) {
    const std::size_t count = std::min(kLoadBatch, data.row_count() - first);
    batch.assign(count, {});
    for (std::size_t i = 0; i < count; ++i) {
      batch[i].id = RowId(std::uint64_t{first + i});
      batch[i].vector = VectorView(data.row(first + i));
      if (payload) batch[i].payload = payloads[i] = payload_of(first + i);
    }
    const Result<WriteResult> written = rows.insert(batch);
    require(written.ok(), "loading " + data.name + ": " + written.status().to_string());
  }
}

}  // namespace

Subject::Subject(const Dataset& data, const SubjectOptions& options)
    : data_(data), options_(options) {
  DatabaseOptions database;
  database.in_memory = true;
  database.threads = options.threads;
  database.kernels = options.kernels;
  database.planes = options.planes;
  Result<Database> opened = Database::open("", database);
  require(opened.ok(), opened.status().to_string());
  database_ = *std::move(opened);
  kernels_ = database_->stats().kernels;
  CollectionOptions collection;
  collection.dim = data.dim;
  collection.metric = options.metric;
  if (options.payload) collection.fields = {{"bucket", FieldType::number}};
  Result<Collection> made = database_->create_collection("rows", collection);
  require(made.ok(), made.status().to_string());
  rows_ = *std::move(made);
  load(data, options.payload, *rows_);
  wait_for_planes(*rows_);
}

PlaneUse plane_use(const Subject& subject, std::string_view backend) {
  const SubjectOptions& options = subject.options();
  const auto shape = engine::RowShape::make(options.metric, ScalarType::f32, subject.data().dim);
  if (backend.find("coarse") == std::string_view::npos || options.planes == Planes::full ||
      !engine::CoarsePlane::serves(shape)) {
    return {"full", subject.kernels(), f32_unit_of(subject.kernels()), false, shape.row_bytes};
  }
  const std::string kernel(backend.substr(backend.rfind('/') + 1));
  const Result<CollectionStats> stats = subject.rows().stats();
  const bool sketched = stats.ok() && stats->rows_sketched != 0;
  return {sketched ? "sketch+coarse+full" : "coarse+full", kernel, i8_unit_of(kernel), true,
          engine::CoarsePlane::bytes_per_row(shape)};
}

double ExactFigures::recall() const {
  return wanted == 0 ? 1.0 : static_cast<double>(found) / static_cast<double>(wanted);
}

double ExactFigures::share(std::size_t count) const {
  return checked == 0 ? 0.0 : static_cast<double>(count) / static_cast<double>(checked);
}

double ExactFigures::stage_share(std::uint64_t ns) const {
  const std::uint64_t all = scan_ns + rescore_ns + other_ns;
  return all == 0 ? 0.0 : static_cast<double>(ns) / static_cast<double>(all);
}

ExactRunner::ExactRunner(const Subject& subject, const Truth& truth, const ExactCase& search)
    : subject_(subject), truth_(truth), case_(search) {
  const Dataset& data = subject.data();
  options_.k = search.k;
  options_.ef = search.ef;
  options_.recall = search.recall;
  if (search.buckets < kBuckets) options_.filter = ".bucket < " + std::to_string(search.buckets);
  // A batch may be larger than the set of queries; they are then asked several times.
  const std::size_t count = data.query_count() + search.batch;
  for (std::size_t i = 0; i < count; ++i) queries_.emplace_back(data.query(i % data.query_count()));
}

double ExactRunner::call() {
  const std::span<const Query> batch(queries_.data() + next_, case_.batch);
  const auto start = std::chrono::steady_clock::now();
  const Status status = subject_.rows().search(batch, options_, result_);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  require(status.ok(), "search: " + status.to_string());
  check(next_);
  next_ = (next_ + case_.batch) % subject_.data().query_count();
  return taken.count();
}

void ExactRunner::check(std::size_t first) {
  require(result_.query_count() == case_.batch, "a search answered another number of queries");
  const std::size_t wanted = std::min<std::size_t>(case_.k, truth_.per_query);
  for (std::size_t i = 0; i < case_.batch; ++i) {
    const std::size_t query = (first + i) % subject_.data().query_count();
    const std::span<const Neighbor> got = result_.of(i);
    const auto ids = truth_.ids_of(query).first(wanted);
    const auto distances = truth_.distances_of(query).first(wanted);
    std::size_t same = 0;
    for (std::size_t n = 0; n < std::min(wanted, got.size()); ++n) {
      same +=
          got[n].id == RowId(std::uint64_t{ids[n]}) && got[n].distance == distances[n] ? 1U : 0U;
    }
    const bool right = same == wanted && got.size() == wanted;
    if (right) {
      figures_.found += wanted;
    } else {
      for (const Neighbor& neighbor : got) {
        figures_.found += std::count(ids.begin(), ids.end(), neighbor.id.number()) > 0 ? 1U : 0U;
      }
      if (figures_.wrong == 0) {
        figures_.first_wrong = "query " + std::to_string(query) + ": " +
                               std::to_string(got.size()) + " answers, " + std::to_string(same) +
                               " of " + std::to_string(wanted) + " right";
      }
      ++figures_.wrong;
    }
    figures_.wanted += wanted;
    figures_.certified += result_.certified[i];
  }
  figures_.checked += case_.batch;
  figures_.reruns += result_.reruns;
  figures_.reads.sketch += result_.reads.sketch;
  figures_.reads.sketch_fine += result_.reads.sketch_fine;
  figures_.reads.coarse += result_.reads.coarse;
  figures_.reads.full += result_.reads.full;
  const SearchStages& stages = result_.stages;
  figures_.scan_ns += stages.scan_ns;
  figures_.rescore_ns += stages.rescore_ns;
  figures_.other_ns += stages.prepare_ns + stages.fetch_ns;
  figures_.reads.graph += result_.reads.graph;
  figures_.backend = result_.backend;
  figures_.told = result_.recall;
  // Asks for statistics, which take longer than a walk.
  if (case_.ef == 0 && case_.recall >= 1.0) {
    figures_.use = plane_use(subject_, result_.backend);
  }
}

void ExactRunner::round(double seconds) {
  double taken = 0.0;
  std::size_t calls = 0;
  do {
    const double one = call();
    figures_.latencies_us.push_back(one * 1e6);
    taken += one;
    ++calls;
  } while (taken < seconds);
  figures_.round_qps.push_back(static_cast<double>(calls * case_.batch) / taken);
}

void ExactRunner::warm(double seconds) {
  double taken = 0.0;
  std::size_t asked = 0;
  do {
    taken += call();
    asked += case_.batch;
  } while (asked < subject_.data().query_count() && taken < seconds);
  next_ = 0;
}

}  // namespace vecserve::bench
