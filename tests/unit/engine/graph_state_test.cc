// Checks engine/graph_state: effort and recall as each other's inverse, and the sample of recent
// queries. Threads of its own in the last case. Always holds: curves are made of few points, so
// that values between them can be computed by hand.
#include "engine/graph_state.h"

#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "tests/support/graph_data.h"

namespace {

using namespace vecserve::engine;

TEST_CASE("effort: the least beam on the line between the measured ones, at least k") {
  const EffortCurve curve({{10, 0.8}, {20, 0.9}, {40, 1.0}});
  CHECK(curve.ef_for(0.5, 10) == 10);
  CHECK(curve.ef_for(0.75, 10) == 10);
  // For 0.85 with caution: 0.8725.
  CHECK(curve.ef_for(0.85, 10) == 18);
  CHECK(curve.ef_for(0.91, 10) == 25);
  CHECK(curve.ef_for(0.95, 10) == 32);
  CHECK(curve.ef_for(0.85, 1) == 18);
  CHECK(curve.ef_for(0.85, 100) == 123);  // 17.25 * 10^0.85, rounded up
  CHECK(curve.ef_for(0.5, 5'000) == 5'000);
  CHECK(EffortCurve({{10, 0.6}, {20, 0.7}}).ef_for(0.99, 10) == 20);
}

TEST_CASE("effort: what is aimed for is a little above the target, and never above 1") {
  const EffortCurve curve({{10, 0.8}, {20, 0.9}, {40, 0.99}, {1'000, 0.9999}});
  for (const double target : {0.8, 0.85, 0.9, 0.95, 0.99, 0.999}) {
    CAPTURE(target);
    const double told = curve.recall_of(curve.ef_for(target, 10), 10);
    CHECK(told >= target + 0.1 * (1.0 - target));
    CHECK(told <= target + 0.5 * (1.0 - target));
  }
}

TEST_CASE("effort: the recall of a beam is on the same line") {
  const EffortCurve curve({{10, 0.8}, {20, 0.9}, {40, 1.0}});
  CHECK(curve.recall_of(5, 10) == Approx(0.8));
  CHECK(curve.recall_of(15, 10) == Approx(0.85));
  CHECK(curve.recall_of(30, 10) == Approx(0.95));
  CHECK(curve.recall_of(500, 10) == Approx(1.0));
  CHECK(curve.recall_of(107, 100) == Approx(0.85).margin(0.01));
}

TEST_CASE("effort: nothing measured means as many as are wanted") {
  const EffortCurve curve({});
  CHECK(curve.ef_for(0.9, 30) >= 30);
  CHECK(curve.recall_of(30, 10) == 0.0);
}

TEST_CASE(
    "graph state: a long tail slows writers for a moment, but not before there was a short one") {
  GraphState state;
  CHECK_FALSE(state.slow_writer());
  state.set_tail(GraphState::kTailMax);
  CHECK_FALSE(state.slow_writer());
  state.set_tail(10);
  CHECK_FALSE(state.slow_writer());
  state.set_tail(GraphState::kTailMax);
  CHECK(state.slow_writer());
  std::thread keeper([&] { state.set_tail(5); });
  while (state.tail() != 5) static_cast<void>(state.slow_writer());
  keeper.join();
  CHECK_FALSE(state.slow_writer());
}

TEST_CASE("graph state: rows that come count at once where there is a graph") {
  GraphState state;
  state.rows_came(7);
  CHECK(state.tail() == 0);
  state.set_graph(std::make_shared<Graph>(vecserve::test::GraphData(8, 40, 5).axes()), 10);
  state.rows_came(GraphState::kTailMax);
  CHECK(state.tail() == GraphState::kTailMax + 10);
  CHECK(state.slow_writer());
  state.set_graph(nullptr, 0);
  state.rows_came(7);
  CHECK(state.tail() == 0);
}

TEST_CASE("graph state: a graph comes with its tail, which slows writers only once it was short") {
  GraphState state;
  const auto graph = std::make_shared<Graph>(vecserve::test::GraphData(8, 40, 5).axes());
  state.set_graph(graph, GraphState::kTailMax);
  CHECK(state.tail() == GraphState::kTailMax);
  CHECK_FALSE(state.slow_writer());
  state.set_tail(10);
  state.set_tail(GraphState::kTailMax);
  CHECK(state.slow_writer());
  state.set_graph(graph, GraphState::kTailMax);
  CHECK_FALSE(state.slow_writer());
}

TEST_CASE("graph state: whoever sees a graph sees what it has not linked") {
  GraphState state;
  const auto graph = std::make_shared<Graph>(vecserve::test::GraphData(8, 40, 5).axes());
  for (int round = 0; round < 200; ++round) {
    std::thread keeper([&] { state.set_graph(graph, 7); });
    while (state.graph() == nullptr) {
    }
    CHECK(state.tail() == 7);
    keeper.join();
    state.set_graph(nullptr, 0);
  }
}

TEST_CASE("recent queries: the first ones are kept, later ones replace some") {
  RecentQueries queries;
  for (std::uint32_t i = 0; i < 100; ++i) queries.keep(std::vector<float>{static_cast<float>(i)});
  CHECK(queries.seen() == 100);
  CHECK(queries.all().size() == 100);
  CHECK(queries.all()[42][0] == 42.0f);
  for (std::uint32_t i = 100; i < 50'000; ++i) {
    queries.keep(std::vector<float>{static_cast<float>(i)});
  }
  const auto kept = queries.all();
  CHECK(kept.size() == RecentQueries::kKept);
  for (const auto& query : kept) CHECK(query[0] > 40'000.0f);
}

TEST_CASE("recent queries: of a list that is asked in turn most are kept") {
  RecentQueries queries;
  constexpr std::uint32_t kList = 1'000;
  for (std::uint32_t i = 0; i < 50'000; ++i) {
    queries.keep(std::vector<float>{static_cast<float>(i % kList)});
  }
  std::set<float> different;
  for (const auto& query : queries.all()) different.insert(query[0]);
  // As many as when each is drawn by chance: 1 - 1 / e of them.
  CHECK(different.size() > kList / 2);
}

TEST_CASE("recent queries: many threads keep theirs while one looks") {
  RecentQueries queries;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2'000; ++i) queries.keep(std::vector<float>(8, 3.0f));
    });
  }
  for (int i = 0; i < 50; ++i) {
    for (const auto& query : queries.all()) CHECK(query == std::vector<float>(8, 3.0f));
  }
  for (auto& thread : threads) thread.join();
  CHECK(queries.seen() == 6'000);
}

}  // namespace
