// The oracle's arithmetic. Comes below the harnesses and the system tests; pure, any thread.
// Always holds: on integer coordinates every sum here is exact, so an engine that agrees must agree
// to the last bit for l2, dot, l1 and hamming.
#include "tests/support/brute_force.h"

#include <algorithm>
#include <cmath>

namespace vecserve::test {
namespace {

std::vector<Neighbor> oracle_sorted(Metric metric, std::span<const OracleRow> rows,
                                    std::span<const float> query) {
  std::vector<Neighbor> all;
  all.reserve(rows.size());
  for (const OracleRow& row : rows) {
    Neighbor neighbor;
    neighbor.id = row.id;
    neighbor.distance = oracle_distance(metric, query, row.vector);
    all.push_back(std::move(neighbor));
  }
  std::sort(all.begin(), all.end(), [](const Neighbor& a, const Neighbor& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
  });
  return all;
}

}  // namespace

double oracle_distance(Metric metric, std::span<const float> a, std::span<const float> b) {
  double sum = 0.0, dot = 0.0, norm_a = 0.0, norm_b = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    switch (metric) {
      case Metric::l2:
        sum += (x - y) * (x - y);
        break;
      case Metric::l1:
        sum += std::abs(x - y);
        break;
      case Metric::hamming:
        sum += x != y ? 1.0 : 0.0;
        break;
      case Metric::dot:
      case Metric::cosine:
        dot += x * y;
        norm_a += x * x;
        norm_b += y * y;
        break;
    }
  }
  if (metric == Metric::dot) return -dot;
  if (metric == Metric::cosine) {
    return std::clamp(1.0 - dot / (std::sqrt(norm_a) * std::sqrt(norm_b)), 0.0, 2.0);
  }
  return sum;
}

std::vector<Neighbor> oracle_nearest(Metric metric, std::span<const OracleRow> rows,
                                     std::span<const float> query, std::size_t k) {
  std::vector<Neighbor> all = oracle_sorted(metric, rows, query);
  if (all.size() > k) all.resize(k);
  return all;
}

std::vector<Neighbor> oracle_within(Metric metric, std::span<const OracleRow> rows,
                                    std::span<const float> query, double radius) {
  std::vector<Neighbor> all = oracle_sorted(metric, rows, query);
  std::erase_if(all, [radius](const Neighbor& n) { return n.distance > radius; });
  return all;
}

}  // namespace vecserve::test
