// The shortest useful program: open a database, write two rows, find the nearest that matches. The
// README shows exactly this; a test compares the two. One thread; leaves the folder ./my-vectors.
// Always holds: run twice, it prints the same.
#include <vecserve/vecserve.h>

#include <iostream>

int main() {
  auto db = vecserve::Database::open("./my-vectors");
  if (!db) return std::cerr << db.status().to_string() << '\n', 1;
  auto docs = db->collection("docs");
  if (!docs) docs = db->create_collection("docs", {.dim = 3});
  if (!docs) return std::cerr << docs.status().to_string() << '\n', 1;
  const std::vector<float> a = {1, 0, 0}, b = {0, 1, 0};
  const std::vector<vecserve::RowInput> rows = {{1, a, R"({"year": 1959})"},
                                                {"blue", b, R"({"year": 1971})"}};
  if (auto written = docs->upsert(rows); !written) return 1;
  vecserve::SearchOptions nearest{.k = 1, .filter = ".year < 1970"};
  auto hits = docs->search(vecserve::Query(b), nearest);
  if (!hits) return 1;
  for (const auto& hit : *hits) std::cout << hit.id.to_string() << ' ' << hit.distance << '\n';
}
