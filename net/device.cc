// See device.h.
// Runs on lanes, one batch per lane at a time. Always holds: a lane's scratch is used by that lane
// alone; what a SearchWork sees of it lives until its finish() returned.
#include "net/device.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <new>
#include <tuple>
#include <utility>

#include "net/limits.h"

namespace vecserve::net {

namespace {

Status out_of_memory() {
  return {StatusCode::resource_exhausted, "out of memory; nothing was done"};
}

Status search(const SearchWork::Call& call, std::span<const Query> queries, Deadline deadline,
              const std::shared_ptr<const CancelToken>& stop, SearchResult& result) {
  if (!call.radius.has_value()) {
    SearchOptions options;
    options.with_payload = call.with_payload;
    options.with_vector = call.with_vector;
    options.recall = call.recall;
    options.ef = call.ef;
    options.explain = call.explain;
    options.deadline = deadline;
    options.cancel = stop;
    return call.collection.search(queries, options, result);
  }
  RangeSearchOptions options;
  options.radius = *call.radius;
  options.limit = call.limit;
  options.with_payload = call.with_payload;
  options.with_vector = call.with_vector;
  options.explain = call.explain;
  options.deadline = deadline;
  options.cancel = stop;
  Result<SearchResult> found = call.collection.range_search(queries, options);
  VECSERVE_TRY(found.status());
  result = std::move(*found);
  return {};
}

void add_stages(const SearchStages& from, Stages& to) {
  to.scan_ns += from.prepare_ns + from.scan_ns;
  to.rescore_ns += from.rescore_ns;
  to.fetch_ns += from.fetch_ns;
}

// One of these says something about a query of the batch, not about the batch.
bool blames_a_query(StatusCode code) {
  return code == StatusCode::invalid_argument || code == StatusCode::failed_precondition;
}

}  // namespace

// ---- searches
// ------------------------------------------------------------------------------------

SearchWork::SearchWork(std::shared_ptr<Peer> peer, const WorkTerms& terms, Call call)
    : Work(std::move(peer), terms), call_(std::move(call)) {}

struct SearchDevice::Scratch {
  std::vector<Query> queries;
  SearchResult result;
  std::vector<std::unique_ptr<SearchResult>> own;  // of works that were searched by themselves
};

SearchDevice::SearchDevice(std::uint32_t lanes) {
  scratch_.reserve(lanes + 1);
  for (std::uint32_t i = 0; i <= lanes; ++i) scratch_.push_back(std::make_unique<Scratch>());
}

SearchDevice::~SearchDevice() = default;

void SearchDevice::run(Batch& batch) noexcept {
  Scratch& scratch = *scratch_[batch.lane];
  batch.started = std::chrono::steady_clock::now();
  try {
    run_together(batch, scratch);
  } catch (const std::bad_alloc&) {
    for (Status& status : batch.statuses) status = out_of_memory();
  }
}

void SearchDevice::run_together(Batch& batch, Scratch& scratch) {
  scratch.own.clear();
  scratch.queries.clear();
  for (const std::shared_ptr<Work>& work : batch.works) {
    auto& search_work = static_cast<SearchWork&>(*work);
    search_work.answer_from(scratch.result, scratch.queries.size());
    scratch.queries.insert(scratch.queries.end(), search_work.queries.begin(),
                           search_work.queries.end());
  }
  const auto& call = static_cast<SearchWork&>(*batch.works.front()).call();
  const Status status = search(call, scratch.queries, batch.deadline, batch.stop, scratch.result);
  if (status.ok()) {
    add_stages(scratch.result.stages, batch.stages);
  } else if (batch.works.size() > 1 && blames_a_query(status.code())) {
    run_apart(batch, scratch);
  } else {
    for (Status& each : batch.statuses) each = status;
  }
}

void SearchDevice::run_apart(Batch& batch, Scratch& scratch) {
  for (std::size_t i = 0; i < batch.works.size(); ++i) {
    auto& work = static_cast<SearchWork&>(*batch.works[i]);
    if (work.cancelled()) {
      batch.statuses[i] = Status(StatusCode::cancelled, "the search was cancelled");
      continue;
    }
    scratch.own.push_back(std::make_unique<SearchResult>());
    SearchResult& result = *scratch.own.back();
    batch.statuses[i] =
        search(work.call(), work.queries, work.terms().deadline, batch.stop, result);
    work.answer_from(result, 0);
    add_stages(result.stages, batch.stages);
  }
}

// ---- groups
// --------------------------------------------------------------------------------------

struct SearchGroups::State {
  // Collection, with payload, with vector, radius or nothing, limit, recall, ef.
  using Key = std::tuple<std::string, bool, bool, std::optional<double>, std::uint32_t, double,
                         std::uint32_t>;
  std::mutex mutex;
  std::map<Key, GroupId, std::less<>> ids;  // guarded by mutex
};

SearchGroups::SearchGroups() : state_(std::make_unique<State>()) {}
SearchGroups::~SearchGroups() = default;

GroupId SearchGroups::of(const SearchWork::Call& call) {
  if (call.explain) return kAlone;
  const std::uint32_t limit = call.radius.has_value() ? call.limit : 0;
  const auto key = std::tie(call.collection.name(), call.with_payload, call.with_vector,
                            call.radius, limit, call.recall, call.ef);
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->ids.find(key);
  if (found != state_->ids.end()) return found->second;
  // Radii and recalls are endless; those that come late ride alone.
  if (state_->ids.size() >= limits::groups_max) return kAlone;
  const GroupId id = state_->ids.size() + 1;
  state_->ids.emplace(State::Key(key), id);
  return id;
}

// ---- calls
// ---------------------------------------------------------------------------------------

void CallDevice::run(Batch& batch) noexcept {
  batch.started = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < batch.works.size(); ++i) {
    auto& work = static_cast<CallWork&>(*batch.works[i]);
    try {
      batch.statuses[i] = work.call(batch.stop);
    } catch (const std::bad_alloc&) {
      batch.statuses[i] = out_of_memory();
    }
  }
}

}  // namespace vecserve::net
