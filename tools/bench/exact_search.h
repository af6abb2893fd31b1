// Measures search, exact or approximate, through the public API and compares every answer with the
// truth. Comes after dataset and truth, used by bench_exact. Main thread; the database's own
// threads search. Always holds: no answer that was timed goes unchecked, and checking is not timed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/bench/dataset.h"
#include "tools/bench/truth.h"
#include "vecserve/vecserve.h"

namespace vecserve::bench {

struct SubjectOptions {
  Metric metric = Metric::l2;
  std::uint32_t threads = 1;
  std::string kernels;                // "": the engine's choice
  Planes planes = Planes::automatic;  // which views of the vectors are kept
  bool payload = false;               // rows get a field "bucket" for filters
};

// The rows of a data set in a database in memory.
class Subject {
 public:
  Subject(const Dataset& data, const SubjectOptions& options);

  [[nodiscard]] const Collection& rows() const { return *rows_; }
  [[nodiscard]] const SubjectOptions& options() const { return options_; }
  // The table for floats; the one for bytes goes with it.
  [[nodiscard]] const std::string& kernels() const { return kernels_; }
  [[nodiscard]] const Dataset& data() const { return data_; }

 private:
  const Dataset& data_;
  SubjectOptions options_;
  std::optional<Database> database_;
  std::optional<Collection> rows_;
  std::string kernels_;
};

// What the stage that dominates a search reads of a row, and the unit it multiplies with.
struct PlaneUse {
  std::string planes;         // those walked, first to last, such as "coarse+full"
  std::string kernel;         // of the dominant stage
  std::string unit;           // see ceilings.h
  bool bytes = false;         // the unit multiplies bytes, not floats
  std::size_t row_bytes = 0;  // of the dominant plane
};

// The one place that knows; everything a bench says about planes comes from here.
[[nodiscard]] PlaneUse plane_use(const Subject& subject, std::string_view backend);

struct ExactCase {
  std::uint32_t k = 10;
  std::uint32_t batch = 1;
  std::uint32_t buckets = kBuckets;  // the filter keeps buckets / kBuckets of the rows
  std::uint32_t ef = 0;              // approximate, see SearchOptions
  double recall = 1.0;
};

// What some rounds of one case came to.
struct ExactFigures {
  std::vector<double> round_qps;
  std::vector<double> latencies_us;  // of each call
  std::size_t checked = 0;           // answers compared with the truth
  std::size_t wrong = 0;             // of these, not the same ids in the same order
  std::size_t certified = 0;
  std::size_t reruns = 0;
  SearchReads reads;
  std::size_t found = 0;   // neighbours that belong to the answer
  std::size_t wanted = 0;  // neighbours that belong there
  std::uint64_t scan_ns = 0;
  std::uint64_t rescore_ns = 0;
  std::uint64_t other_ns = 0;  // inside the search, and neither of the two
  std::string first_wrong;
  PlaneUse use;
  std::string backend;
  double told = 1.0;  // recall that the last reply expected

  [[nodiscard]] double recall() const;
  [[nodiscard]] double share(std::size_t count) const;       // of the answers
  [[nodiscard]] double stage_share(std::uint64_t ns) const;  // of the time in all stages
};

class ExactRunner {
 public:
  ExactRunner(const Subject& subject, const Truth& truth, const ExactCase& search);

  // Calls for at least so long and at least once, over the queries in turn.
  void round(double seconds);
  // Every query once, as long as that takes no more than so many seconds.
  void warm(double seconds);
  [[nodiscard]] const ExactFigures& figures() const { return figures_; }
  [[nodiscard]] ExactFigures& figures() { return figures_; }

 private:
  double call();  // returns seconds
  void check(std::size_t first);

  const Subject& subject_;
  const Truth& truth_;
  ExactCase case_;
  SearchOptions options_;
  std::vector<Query> queries_;  // twice over, so that any batch is one span
  SearchResult result_;
  std::size_t next_ = 0;
  ExactFigures figures_;
};

}  // namespace vecserve::bench
