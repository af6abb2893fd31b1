// Open, count, read everything, search, verify. Comes between the damaged folder and the public
// API; one thread. Always holds: loss is looked for before wrongness, so that a trial lands in one
// class only.
#include "tests/programs/support/sweep_trial.h"

#include <cstdio>
#include <map>
#include <optional>
#include <vector>

#include "tests/programs/support/sweep_images.h"
#include "tests/support/brute_force.h"
#include "vecserve/database.h"

namespace vecserve::test {
namespace {

constexpr std::uint32_t kPageRows = 1000;
constexpr std::size_t kNearest = 10;

using Rows = std::map<std::uint64_t, CodedVersions>;

TrialOutcome report_error(const TrialSettings& settings, TrialOutcome outcome,
                          const Status& status) {
  if (settings.verbose) std::fprintf(stderr, "  %s\n", status.to_string().c_str());
  return outcome;
}

TrialOutcome check_search(const TrialSettings& settings, const Collection& collection,
                          const Rows& expected) {
  std::vector<OracleRow> rows;
  for (const auto& [id, versions] : expected) {
    rows.push_back({id, coded_vector(id, versions.vector)});
  }
  for (const std::uint32_t version : {1u, 4u, 41u}) {
    const std::vector<float> query = coded_vector(version * 97, version);
    SearchOptions options;
    options.k = kNearest;
    const Result<std::vector<Neighbor>> found = collection.search(Query(query), options);
    if (!found.ok()) return report_error(settings, TrialOutcome::read_error, found.status());
    if (*found != oracle_nearest(Metric::l2, rows, query, kNearest)) {
      return TrialOutcome::wrong_answers;
    }
  }
  return TrialOutcome::intact;
}

TrialOutcome check_collection(const TrialSettings& settings, const Database& database,
                              const char* name, const Rows& expected) {
  const Result<Collection> collection = database.collection(name);
  if (!collection.ok()) {
    // An open that is ok but has forgotten a collection lost it in silence.
    return collection.status().code() == StatusCode::not_found
               ? TrialOutcome::silent_loss
               : report_error(settings, TrialOutcome::read_error, collection.status());
  }
  const Result<std::uint64_t> count = collection->count();
  if (!count.ok()) return report_error(settings, TrialOutcome::read_error, count.status());
  Result<Cursor> cursor = collection->scan();
  if (!cursor.ok()) return report_error(settings, TrialOutcome::read_error, cursor.status());
  Rows found;
  bool wrong = false;
  while (!cursor->done()) {
    const Result<std::vector<Row>> page = cursor->next(kPageRows);
    if (!page.ok()) return report_error(settings, TrialOutcome::read_error, page.status());
    for (const Row& row : *page) {
      const std::optional<CodedVersions> versions = decode_coded(row);
      if (!versions) {
        wrong = true;
      } else {
        found[row.id.number()] = *versions;
      }
    }
  }
  for (const auto& [id, versions] : expected) {
    if (!found.contains(id)) return TrialOutcome::silent_loss;
  }
  if (*count < expected.size()) return TrialOutcome::silent_loss;
  if (wrong || found != expected || *count != expected.size()) return TrialOutcome::wrong_answers;
  return check_search(settings, *collection, expected);
}

}  // namespace

TrialOutcome run_trial(const TrialSettings& settings) {
  DatabaseOptions options;
  options.create_if_missing = settings.create_if_missing;
  options.threads = 1;
  Result<Database> database = settings.read_only ? Database::open_read_only(settings.path, options)
                                                 : Database::open(settings.path, options);
  if (!database.ok()) return report_error(settings, TrialOutcome::refused, database.status());
  for (const auto& [name, rows] :
       {std::pair{kSweepMain, &sweep_rows().main}, std::pair{kSweepSide, &sweep_rows().side}}) {
    const TrialOutcome outcome = check_collection(settings, *database, name, *rows);
    if (outcome != TrialOutcome::intact) return outcome;
  }
  const Result<VerifyReport> verified = database->verify();
  if (!verified.ok()) return report_error(settings, TrialOutcome::read_error, verified.status());
  const Status closed = database->close();
  if (!closed.ok()) return report_error(settings, TrialOutcome::read_error, closed);
  return TrialOutcome::intact;
}

}  // namespace vecserve::test
