// A run as words, JSON, CSV and histogram files. Comes last, after summary and verdict; main
// thread. Always holds: every figure says whether it is response or service time, how many samples
// it has and its interval, and a percentile without the samples is printed as the number missing.
#pragma once

#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/loadgen/record.h"
#include "tools/loadgen/summary.h"
#include "tools/loadgen/verdict.h"

namespace vecserve::loadgen {

// What was asked for, to stand beside what came out.
struct RunTitle {
  std::string target{};
  std::string arrivals{};
  std::string mix{};
  double rate = 0.0;  // 0: closed loop
  double duration_s = 0.0;
  std::uint64_t seed = 0;
  std::uint64_t fingerprint = 0;  // of the plan
  std::uint32_t users = 0;        // of a closed loop
  std::string started{};          // date and time
};

struct RunReport {
  RunTitle title{};
  Summary summary{};
  Judgement judgement{};
};

// One object; "histogram" holds the response times in HdrHistogram's V2 form, for --compare.
[[nodiscard]] nlohmann::ordered_json to_json(const RunReport& report);
void print_report(std::ostream& out, const RunReport& report);
// A head and a row for each of response, service, lag and noise at each percentile.
void write_csv(std::ostream& out, const RunReport& report);
// A line for each second and each of response, service and lag.
void write_hlog(std::ostream& out, const RunReport& report, const Records& records,
                std::size_t sent, double start_unix_s);

// "4.27 ms", "512 us": three digits that matter.
[[nodiscard]] std::string duration_text(double ns);

}  // namespace vecserve::loadgen
