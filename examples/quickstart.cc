// The first program to read: opens a database, creates a collection, writes rows with payloads, and
// searches them, with and without a filter. Usage: quickstart [FOLDER]; without a folder it makes
// one for temporary files and removes it at the end. One thread; every Status is checked.
#include <vecserve/vecserve.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

// Examples stop at the first error; a server would answer its client with it.
void check(const vecserve::Status& status) {
  if (status.ok()) return;
  std::cerr << status.to_string() << '\n';
  std::exit(EXIT_FAILURE);
}

template <typename T>
T check(vecserve::Result<T> result) {
  check(result.status());
  return std::move(result).value();
}

void print(const std::string& title, const std::vector<vecserve::Neighbor>& hits) {
  std::cout << title << '\n';
  for (const vecserve::Neighbor& hit : hits) {
    std::cout << "  " << hit.id.to_string() << "  distance " << hit.distance << "  " << hit.payload
              << '\n';
  }
}

struct Record {
  const char* id;
  std::vector<float> taste;  // in practice: the embedding that a model computes
  const char* payload;
};

void run(const std::string& folder) {
  vecserve::Database db = check(vecserve::Database::open(folder));

  // Fields that filters use often are declared, which keeps them in memory as typed columns.
  vecserve::CollectionOptions options;
  options.dim = 3;
  options.metric = vecserve::Metric::cosine;
  options.fields = {{"year", vecserve::FieldType::number}, {"genre", vecserve::FieldType::string}};
  vecserve::Result<vecserve::Collection> existing = db.collection("records");
  vecserve::Collection records =
      existing.ok() ? *existing : check(db.create_collection("records", options));

  const std::vector<Record> shelf = {
      {"kind-of-blue", {0.9F, 0.1F, 0.0F}, R"({"year": 1959, "genre": "jazz"})"},
      {"blue-lines", {0.3F, 0.2F, 0.9F}, R"({"year": 1991, "genre": "trip hop"})"},
      {"voodoo", {0.6F, 0.7F, 0.3F}, R"({"year": 2000, "genre": "soul", "length_min": 79})"},
      {"black-radio", {0.7F, 0.5F, 0.2F}, R"({"year": 2012, "genre": "jazz"})"},
  };
  std::vector<vecserve::RowInput> rows;
  for (const Record& record : shelf) {
    vecserve::RowInput row;
    row.id = record.id;
    row.vector = record.taste;
    row.payload = record.payload;
    rows.push_back(row);
  }
  // Durable when it returns, and visible to every search that begins afterwards.
  const vecserve::WriteResult written = check(records.upsert(rows));
  std::cout << "wrote " << written.rows << " rows, " << check(records.count()) << " in all\n";

  const std::vector<float> wanted = {0.8F, 0.4F, 0.1F};
  vecserve::SearchOptions search;
  search.k = 2;
  search.with_payload = true;
  print("nearest", check(records.search(vecserve::Query(wanted), search)));

  // Exactly the nearest rows that match; fewer than k only when fewer match.
  search.filter = R"(.year >= 1990 and .genre in ["jazz", "soul"])";
  print("nearest, " + search.filter, check(records.search(vecserve::Query(wanted), search)));

  check(db.close());
}

}  // namespace

int main(int argc, char* argv[]) {
  if (argc > 2) {
    std::cerr << "usage: " << argv[0] << " [FOLDER]\n";
    return EXIT_FAILURE;
  }
  if (argc == 2) {
    run(argv[1]);
    return EXIT_SUCCESS;
  }
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() /
      ("vecserve-quickstart-" + std::to_string(std::random_device{}()));
  run(folder.string());
  std::filesystem::remove_all(folder);
  return EXIT_SUCCESS;
}
