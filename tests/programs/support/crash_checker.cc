// Opening, verifying, dumping, and searches held against brute force over the dump. Comes between
// the pipe and the public API; one thread. Always holds: each finding is one event, so the parent
// can count.
#include "tests/programs/support/crash_checker.h"

#include <cstdio>
#include <optional>
#include <vector>

#include "tests/programs/support/crash_events.h"
#include "tests/programs/support/crash_graph.h"
#include "tests/programs/support/crash_worker.h"
#include "tests/support/brute_force.h"
#include "tests/support/coded_row.h"
#include "tests/support/dice.h"

namespace vecserve::test {
namespace {

constexpr std::uint32_t kPageRows = 1000;
constexpr int kSearches = 6;
constexpr std::size_t kNearest = 10;

bool failed(const char* what, const Status& status) {
  if (status.ok()) return false;
  std::fprintf(stderr, "checker: %s: %s\n", what, status.to_string().c_str());
  return true;
}

void report(EventKind kind, std::uint8_t collection) {
  Event event;
  event.kind = kind;
  event.collection = collection;
  send_event(event);
}

// Half of the searches ask one group only, so that the filter's columns are checked too.
bool check_searches(const Collection& collection, std::uint8_t which,
                    const std::vector<OracleRow>& rows, Dice& dice) {
  for (int i = 0; i < kSearches; ++i) {
    const std::vector<float> query =
        coded_vector(dice.below(kIdsPerThread), static_cast<std::uint32_t>(dice.below(1 << 20)));
    SearchOptions options;
    options.k = kNearest;
    std::vector<OracleRow> matching = rows;
    if (i % 2 == 1) {
      const std::uint64_t group = dice.below(kGroups);
      options.filter = ".group == " + std::to_string(group);
      std::erase_if(matching,
                    [group](const OracleRow& row) { return row.id.number() % kGroups != group; });
    }
    const Result<std::vector<Neighbor>> found = collection.search(Query(query), options);
    if (failed("search", found.status())) return false;
    const std::vector<Neighbor> expected = oracle_nearest(Metric::l2, matching, query, kNearest);
    if (*found != expected) report(EventKind::wrong_search, which);
  }
  return true;
}

bool dump_collection(const Database& database, std::uint8_t which, Dice& dice,
                     std::vector<OracleRow>& rows) {
  const Result<Collection> collection =
      database.collection(which == kMainCollection ? kMainName : kSideName);
  if (!collection.ok() && collection.status().code() == StatusCode::not_found) return true;
  if (failed("collection", collection.status())) return false;
  const Result<std::uint64_t> count = collection->count();
  if (failed("count", count.status())) return false;
  report(EventKind::collection, which);

  Result<Cursor> cursor = collection->scan();
  if (failed("scan", cursor.status())) return false;
  rows.clear();
  while (!cursor->done()) {
    const Result<std::vector<Row>> page = cursor->next(kPageRows);
    if (failed("next", page.status())) return false;
    for (const Row& row : *page) {
      const std::optional<CodedVersions> versions = decode_coded(row);
      Event event;
      event.kind = versions ? EventKind::row : EventKind::torn;
      event.collection = which;
      event.first_id = row.id.is_number() ? row.id.number() : 0;
      if (versions) {
        event.version = versions->vector;
        event.payload_version = versions->payload;
      }
      send_event(event);
      rows.push_back({row.id, row.vector.to_floats()});
    }
  }
  if (rows.size() != *count) report(EventKind::wrong_count, which);
  return check_searches(*collection, which, rows, dice);
}

}  // namespace

int run_crash_checker(const CheckerSettings& settings) {
  Result<Database> database = settings.read_only
                                  ? Database::open_read_only(settings.path)
                                  : open_for_harness(settings.path, settings.durability,
                                                     settings.power_loss, settings.graph);
  if (failed("open", database.status())) return 1;
  const Result<VerifyReport> verified = database->verify();
  if (failed("verify", verified.status())) return 1;
  Dice dice(settings.seed);
  std::vector<OracleRow> rows;
  if (!dump_collection(*database, kSideCollection, dice, rows)) return 1;
  if (!dump_collection(*database, kMainCollection, dice, rows)) return 1;
  if (settings.graph) {
    const Result<Collection> main = database->collection(kMainName);
    if (main.ok() && !check_graph_after_kill(*database, *main, rows, dice)) return 1;
  }
  if (failed("close", database->close())) return 1;
  report(EventKind::done, kMainCollection);
  return 0;
}

}  // namespace vecserve::test
