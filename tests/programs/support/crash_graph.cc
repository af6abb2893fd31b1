// Waiting for the graph, looking it over, and walks held against brute force; see crash_graph.h.
// One thread each. Always holds: a walk may miss a neighbour, so what is judged is how many are
// found over many queries; what it does find must be right to the last bit.
#include "tests/programs/support/crash_graph.h"

#include <algorithm>
#include <cstdio>
#include <thread>

#include "engine/database_testing.h"
#include "tests/programs/support/crash_events.h"
#include "tests/support/coded_row.h"

namespace vecserve::test {
namespace {

constexpr std::uint32_t kBeam = 24;
constexpr int kQueries = 60;
constexpr std::size_t kNearest = 10;
// A walk of this beam finds about 0.99 of them; less than this is a graph that was torn.
constexpr double kRecallMin = 0.9;

bool failed(const char* what, const Status& status) {
  if (status.ok()) return false;
  std::fprintf(stderr, "checker: %s: %s\n", what, status.to_string().c_str());
  return true;
}

void wrong(const char* what) {
  std::fprintf(stderr, "checker: graph: %s\n", what);
  Event event;
  event.kind = EventKind::wrong_search;
  send_event(event);
}

SearchOptions walk() {
  SearchOptions options;
  options.k = kNearest;
  options.ef = kBeam;
  return options;
}

// As the keeper's: with more nodes of dead rows it sweeps, and with many more, as after a restart
// from a copy that is older than the rows, a search rightly prefers to scan.
constexpr std::uint64_t kDeadShare = 50;

bool is_swept(const CollectionStats& stats) {
  return stats.rows_linked <= stats.rows ||
         (stats.rows_linked - stats.rows) * kDeadShare < stats.rows_linked;
}

// Until all rows are in the graph, and hardly any others.
bool wait_for_graph(const Collection& collection, CollectionStats& stats) {
  for (;;) {
    const Result<CollectionStats> now = collection.stats();
    if (failed("stats", now.status())) return false;
    stats = *now;
    if (stats.rows_linked >= stats.rows && stats.rows_unlinked == 0 && is_swept(stats)) return true;
    std::this_thread::yield();
  }
}

struct Walks {
  double found = 0.0;  // of the nearest, by the distance that brute force gives
  int walked = 0;
};

bool check_walk(const Collection& collection, const std::vector<OracleRow>& rows,
                const std::vector<float>& vector, Walks& walks) {
  SearchResult result;
  const Query query(vector);
  if (failed("walk", collection.search({&query, 1}, walk(), result))) return false;
  walks.walked += result.backend.starts_with("graph/") ? 1 : 0;
  const std::vector<Neighbor> expected = oracle_nearest(Metric::l2, rows, vector, kNearest);
  for (const Neighbor& neighbor : result.neighbors) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const OracleRow& candidate) {
      return candidate.id == neighbor.id;
    });
    if (row == rows.end()) {
      wrong("an answer that is no row");
    } else if (oracle_distance(Metric::l2, row->vector, vector) != neighbor.distance) {
      wrong("a distance that is not that of the row");
    }
    walks.found += neighbor.distance <= expected.back().distance ? 1.0 : 0.0;
  }
  if (result.neighbors.size() != kNearest) wrong("too few answers");
  return true;
}

}  // namespace

bool check_graph_after_kill(Database& database, const Collection& collection,
                            const std::vector<OracleRow>& rows, Dice& dice) {
  if (rows.size() < kGraphRows) return true;
  // Has one made, should there be none.
  SearchResult result;
  const Query first(rows.front().vector);
  if (failed("search", collection.search({&first, 1}, walk(), result))) return false;
  CollectionStats stats;
  if (!wait_for_graph(collection, stats)) return false;
  const Result<engine::GraphLook> look = engine::look_at_graph(database, collection.name());
  if (failed("look", look.status())) return false;
  if (!look->there || look->faults != 0) wrong("nodes that are out of reach, or links to nowhere");
  if (look->missing != 0) wrong("rows that are no nodes");
  Walks walks;
  for (int i = 0; i < kQueries; ++i) {
    const std::vector<float> vector =
        i % 2 == 0 ? rows[dice.below(rows.size())].vector
                   : coded_vector(dice.below(1 << 20), static_cast<std::uint32_t>(dice.below(99)));
    if (!check_walk(collection, rows, vector, walks)) return false;
  }
  if (walks.found < kRecallMin * kQueries * kNearest) {
    std::fprintf(stderr, "checker: %.0f of %zu neighbours\n", walks.found, kQueries * kNearest);
    wrong("walks that miss what is near");
  }
  // Nobody has written since all rows were said to be linked.
  const Result<CollectionStats> then = collection.stats();
  if (failed("stats", then.status())) return false;
  if (then->rows_unlinked != 0) wrong("rows that were linked and are not");
  if (walks.walked != kQueries) {
    std::fprintf(stderr, "checker: %d of %d walked, %llu nodes for %llu rows and %llu unlinked\n",
                 walks.walked, kQueries, static_cast<unsigned long long>(then->rows_linked),
                 static_cast<unsigned long long>(then->rows),
                 static_cast<unsigned long long>(then->rows_unlinked));
    wrong("scans where walks were wanted");
  }
  Event event;
  event.kind = EventKind::graph;
  event.count = stats.graph_restored;
  return send_event(event);
}

void search_until(const Collection& collection, std::uint64_t seed, std::uint32_t owners,
                  std::uint64_t ids_per_owner, const std::function<bool()>& stop) {
  Dice dice(seed);
  while (!stop()) {
    const std::uint64_t id = dice.below(owners) * kOwnerSpan + dice.below(ids_per_owner);
    const std::vector<float> vector = coded_vector(id, static_cast<std::uint32_t>(dice.below(99)));
    SearchResult result;
    const Query query(vector);
    if (!collection.search({&query, 1}, walk(), result).ok()) return;
  }
}

}  // namespace vecserve::test
