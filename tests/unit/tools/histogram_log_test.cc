// Checks tools/report: histogram files against golden ones of an independent implementation
// (tools/report/hdr_peer.py makes and checks them), damaged input, and round trips. Test thread
// only. Always holds: what is compared between implementations is compared count for count.
#include "tools/report/histogram_log.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <random>
#include <sstream>

#include "tools/report/histogram_blob.h"

namespace {

using namespace vecserve;
using namespace vecserve::report;
using engine::Histogram;
using engine::HistogramCells;

std::string golden(const std::string& name) {
  return std::string(VECSERVE_SOURCE_DIR) + "/tests/unit/tools/golden/" + name;
}

std::string text_of(const std::string& name) {
  std::ifstream in(golden(name));
  REQUIRE(in.good());
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

Histogram squares() {
  Histogram histogram;
  for (std::uint64_t i = 1; i <= 1'000; ++i) histogram.record(i * i * 1'000);
  return histogram;
}

TEST_CASE("histogram log: the log of another implementation is read", "[report]") {
  std::ifstream in(golden("peer.hlog"));
  const auto intervals = read_log(in);
  REQUIRE(intervals.ok());
  REQUIRE(intervals->size() == 5);
  for (std::size_t i = 0; i < 3; ++i) {
    const LogInterval& interval = intervals->at(i);
    CHECK(interval.tag == "response");
    CHECK(interval.start_s == static_cast<double>(i));
    CHECK(interval.length_s == 1.0);
    CHECK(interval.histogram.total() == 5'000);
  }
  // Three digits, microsecond units, another range: values stay within 1 %.
  const Histogram& other = intervals->at(3).histogram;
  CHECK(other.total() == 4);
  CHECK(static_cast<double>(other.value_at(0.5)) == Approx(1e6).epsilon(0.01));
  CHECK(static_cast<double>(other.max()) == Approx(2e9).epsilon(0.01));
  CHECK(intervals->at(4).histogram.total() == 0);
}

TEST_CASE("histogram log: the spectrum of another implementation agrees with its log", "[report]") {
  std::ifstream log(golden("peer.hlog"));
  const auto intervals = read_log(log);
  REQUIRE(intervals.ok());
  const Histogram& histogram = intervals->front().histogram;
  std::ifstream in(golden("peer.hgrm"));
  const auto spectrum = read_spectrum(in);
  REQUIRE(spectrum.ok());
  CHECK(spectrum->total == 5'000);
  CHECK(spectrum->mean_us == Approx(histogram.mean() / 1e3).epsilon(1e-4));
  CHECK(spectrum->max_us == Approx(static_cast<double>(histogram.max()) / 1e3).epsilon(1e-4));
  REQUIRE(spectrum->lines.size() > 20);
  for (const SpectrumLine& line : spectrum->lines) {
    CAPTURE(line.value_us, line.quantile);
    // The high end of a cell, rounded to 10 ns, which may be in the next cell already.
    const auto value = static_cast<std::uint64_t>(std::llround(line.value_us * 1e3));
    const std::size_t cell = HistogramCells::cell_of(value);
    const bool next = value - HistogramCells::high(cell - 1) < HistogramCells::high(cell) - value;
    CHECK(histogram.count_up_to(HistogramCells::low(next ? cell - 1 : cell)) == line.count);
    CHECK(std::abs(static_cast<double>(histogram.value_at(line.quantile)) / 1e3 - line.value_us) <
          0.01 + 0.008 * line.value_us);
  }
}

TEST_CASE("histogram log: our own files stay as they were checked by the other implementation",
          "[report]") {
  Histogram ends;
  ends.record(0);
  ends.record(HistogramCells::value_max);
  std::stringstream log;
  write_log_header(log, "golden", 1'700'000'000.0);
  write_log_interval(log, {"service", 0.0, 1.0, squares()});
  write_log_interval(log, {"", 1.0, 0.5, ends});
  std::stringstream spectrum;
  write_spectrum(spectrum, squares());
  CHECK(spectrum.str() == text_of("ours.hgrm"));
  // Another zlib may pack the same counts into other bytes: compare what is inside.
  std::stringstream kept(text_of("ours.hlog"));
  const auto read = read_log(log);
  const auto expected = read_log(kept);
  REQUIRE(read.ok());
  REQUIRE(expected.ok());
  REQUIRE(read->size() == 2);
  REQUIRE(expected->size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(read->at(i).tag == expected->at(i).tag);
    CHECK(read->at(i).start_s == expected->at(i).start_s);
    for (std::size_t cell = 0; cell < HistogramCells::count; ++cell) {
      REQUIRE(read->at(i).histogram.count_in(cell) == expected->at(i).histogram.count_in(cell));
    }
  }
}

TEST_CASE("histogram log: every count comes back, large ones and gaps included", "[report]") {
  const std::uint64_t seed = 5;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 50; ++round) {
    Histogram histogram;
    const std::uint64_t cells = random() % 200;
    for (std::uint64_t i = 0; i < cells; ++i) {
      histogram.add_cell(random() % HistogramCells::count, 1 + (random() >> (8 + random() % 55)));
    }
    const auto back = decode_histogram(encode_histogram(histogram));
    REQUIRE(back.ok());
    CHECK(back->total() == histogram.total());
    for (std::size_t cell = 0; cell < HistogramCells::count; ++cell) {
      REQUIRE(back->count_in(cell) == histogram.count_in(cell));
    }
  }
}

TEST_CASE("histogram log: damaged text is refused with a reason and never crashes", "[report]") {
  const std::string good = encode_histogram(squares());
  CHECK_FALSE(decode_histogram("").ok());
  CHECK_FALSE(decode_histogram("AAAA").ok());
  CHECK_FALSE(decode_histogram("not base64!!").ok());
  CHECK_FALSE(decode_histogram(good.substr(0, good.size() - 4)).ok());
  const std::uint64_t seed = 11;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 3'000; ++round) {
    std::string text = good;
    for (std::uint64_t i = 0; i <= random() % 3; ++i) {
      text[random() % text.size()] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef0123456789+/="[random() % 45];
    }
    const auto read = decode_histogram(text);
    if (!read.ok()) {
      CHECK_FALSE(read.status().message().empty());
    }
  }
  std::stringstream log("Tag=a,1.0,x,2.0,HIST\n");
  const auto read = read_log(log);
  REQUIRE_FALSE(read.ok());
  CHECK(read.status().field() == "line 1");
  std::stringstream table("  1.0  zero 3\n");
  CHECK_FALSE(read_spectrum(table).ok());
}

TEST_CASE("histogram log: a spectrum of nothing has a head and a foot", "[report]") {
  std::stringstream out;
  write_spectrum(out, Histogram());
  const auto read = read_spectrum(out);
  REQUIRE(read.ok());
  CHECK(read->lines.empty());
  CHECK(read->total == 0);
}

}  // namespace
