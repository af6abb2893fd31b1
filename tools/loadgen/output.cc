// Tables and files of a run. Comes after verdict; main thread. Always
// holds: the three histograms stand side by side wherever one of them is
// shown.
#include "tools/loadgen/output.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <ostream>
#include <utility>

#include "tools/report/histogram_blob.h"
#include "tools/report/histogram_log.h"

namespace vecserve::loadgen {
namespace {

using engine::Histogram;
using engine::QuantileEstimate;
using nlohmann::ordered_json;

template <typename... Values>
void print(std::ostream& out, const char* format, Values... values) {
  char line[400];
  const int length = std::snprintf(line, sizeof(line), format, values...);
  out.write(line, std::min<std::ptrdiff_t>(length, sizeof(line) - 1));
}

double us(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

std::string quantile_name(double quantile) {
  if (quantile >= 1.0) return "max";
  char text[16];
  std::snprintf(text, sizeof(text), "p%.6g", quantile * 100.0);
  return text;
}

ordered_json quantile_json(const QuantileEstimate& estimate) {
  ordered_json json = {{"quantile", estimate.quantile}};
  if (estimate.missing > 0) {
    json["missing_samples"] = estimate.missing;
    return json;
  }
  json["us"] = us(estimate.value);
  json["low_us"] = estimate.lower_open ? ordered_json() : ordered_json(us(estimate.lower));
  json["high_us"] = estimate.upper_open ? ordered_json() : ordered_json(us(estimate.upper));
  json["confidence"] = estimate.confidence;
  json["effective_samples"] = estimate.effective_samples;
  return json;
}

// Percentiles of what is no headline: values only, and only those that the samples support.
ordered_json plain_json(const Histogram& histogram) {
  ordered_json json = {{"n", histogram.total()}};
  for (const double quantile : {0.5, 0.9, 0.99, 0.999, 1.0}) {
    if (histogram.total() < engine::samples_needed(quantile)) continue;
    json[quantile_name(quantile) + "_us"] = us(histogram.value_at(quantile));
  }
  return json;
}

constexpr std::array<const char*, 7> kStageNames = {"network", "queue", "batch", "scan",
                                                    "rescore", "fetch", "send"};

std::array<const Histogram*, 7> stages_of(const Summary& summary) {
  return {&summary.network, &summary.queue, &summary.batch, &summary.scan,
          &summary.rescore, &summary.fetch, &summary.send};
}

ordered_json stages_json(const Summary& summary) {
  const std::array<const Histogram*, 7> histograms = stages_of(summary);
  ordered_json json = ordered_json::object();
  for (std::size_t i = 0; i < kStageNames.size(); ++i) {
    json[kStageNames[i]] = plain_json(*histograms[i]);
    json[kStageNames[i]]["share_of_slowest_percent"] = summary.tail_shares[i];
  }
  json["mean_batch_size"] = summary.mean_batch_size;
  return json;
}

// Cells of one line of the table: value and interval, or what is missing.
std::string estimate_text(const QuantileEstimate& estimate) {
  if (estimate.missing > 0) {
    return std::to_string(estimate.missing) + " samples missing";
  }
  std::string text = duration_text(static_cast<double>(estimate.value));
  if (estimate.quantile >= 1.0) return text;
  text += "  (" + (estimate.lower_open ? "?" : duration_text(static_cast<double>(estimate.lower)));
  text += " to " +
          (estimate.upper_open ? "?" : duration_text(static_cast<double>(estimate.upper))) + ")";
  return text;
}

std::string plain_text(const Histogram& histogram, double quantile) {
  if (histogram.total() < engine::samples_needed(quantile)) return "-";
  return duration_text(static_cast<double>(histogram.value_at(quantile)));
}

void print_stages(std::ostream& out, const Summary& summary) {
  const std::array<const Histogram*, 7> histograms = stages_of(summary);
  print(out, "\n%-10s %12s %12s %12s %22s\n", "stage", "p50", "p99", "p99.9", "of the slowest 1 %");
  for (std::size_t i = 0; i < kStageNames.size(); ++i) {
    print(out, "%-10s %12s %12s %12s %20.1f %%\n", kStageNames[i],
          plain_text(*histograms[i], 0.5).c_str(), plain_text(*histograms[i], 0.99).c_str(),
          plain_text(*histograms[i], 0.999).c_str(), 100.0 * summary.tail_shares[i]);
  }
  print(out, "mean batch %.2f requests\n", summary.mean_batch_size);
}

void print_head(std::ostream& out, const RunReport& report) {
  const RunTitle& title = report.title;
  const Summary& summary = report.summary;
  if (summary.closed_loop) {
    print(out, "CLOSED LOOP, %u requests out at any time, %s, seed %llu\n", title.users,
          title.target.c_str(), static_cast<unsigned long long>(title.seed));
  } else {
    print(out, "open loop, %s arrivals at %.6g/s, %s, seed %llu, plan %016llx\n",
          title.arrivals.c_str(), title.rate, title.target.c_str(),
          static_cast<unsigned long long>(title.seed),
          static_cast<unsigned long long>(title.fingerprint));
  }
  print(out, "mix %s; measured %.6g s of %.6g s: %llu requests, %.6g/s offered, %.6g/s answered\n",
        title.mix.c_str(), summary.seconds, title.duration_s,
        static_cast<unsigned long long>(summary.measured), summary.offered, summary.goodput);
  for (std::size_t i = 0; i < kOutcomes; ++i) {
    if (summary.outcomes[i] == 0) continue;
    print(out, "%s %llu (%.3g %%)  ", to_string(static_cast<Outcome>(i)),
          static_cast<unsigned long long>(summary.outcomes[i]),
          100.0 * static_cast<double>(summary.outcomes[i]) /
              static_cast<double>(std::max<std::uint64_t>(1, summary.measured)));
  }
  out << "\n\n";
}

}  // namespace

std::string duration_text(double ns) {
  constexpr std::array<std::pair<double, const char*>, 4> units = {
      {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1.0, "ns"}}};
  std::size_t unit = 0;
  while (unit + 1 < units.size() && ns < 0.9995 * units[unit].first) ++unit;
  const double value = ns / units[unit].first;
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f %s",
                value < 9.995   ? 2
                : value < 99.95 ? 1
                                : 0,
                value, units[unit].second);
  return text;
}

ordered_json to_json(const RunReport& report) {
  const RunTitle& title = report.title;
  const Summary& summary = report.summary;
  ordered_json json = {{"tool", "loadgen"},
                       {"loop", summary.closed_loop ? "closed" : "open"},
                       {"target", title.target},
                       {"arrivals", title.arrivals},
                       {"mix", title.mix},
                       {"rate", title.rate},
                       {"users", title.users},
                       {"duration_s", title.duration_s},
                       {"measured_s", summary.seconds},
                       {"seed", title.seed},
                       {"plan", title.fingerprint},
                       {"started", title.started},
                       {"verdict", to_string(report.judgement.verdict)},
                       {"reasons", report.judgement.reasons},
                       {"planned", summary.planned},
                       {"sent", summary.sent},
                       {"measured", summary.measured},
                       {"offered_per_s", summary.offered},
                       {"goodput_per_s", summary.goodput},
                       {"adherence", summary.adherence}};
  for (std::size_t i = 0; i < kOutcomes; ++i) {
    json["outcomes"][to_string(static_cast<Outcome>(i))] = summary.outcomes[i];
  }
  json["response"] = {{"what", "from the intended time of sending"},
                      {"n", summary.response.total()},
                      {"mean_us", summary.response.mean() / 1e3}};
  for (const QuantileEstimate& estimate : summary.quantiles) {
    json["response"][quantile_name(estimate.quantile)] = quantile_json(estimate);
  }
  json["service"] = plain_json(summary.service);
  json["service"]["what"] = "from the actual time of sending";
  json["lag"] = plain_json(summary.lag);
  json["lag"]["what"] = "of the sender, by itself";
  json["blocked"] = plain_json(summary.blocked);
  json["blocked"]["what"] = "of the sender, by its target";
  json["noise"] = plain_json(summary.noise);
  json["noise"]["what"] = "lateness of an idle thread on this host at the same time";
  json["refusal"] = plain_json(summary.refusal);
  json["refusal_told"] = plain_json(summary.refusal_told);
  json["refusal_told"]["what"] = "of refused requests, inside the server, by its own word";
  if (summary.has_stages) json["stages"] = stages_json(summary);
  json["histogram"] = report::encode_histogram(summary.response);
  return json;
}

void print_report(std::ostream& out, const RunReport& report) {
  const Summary& summary = report.summary;
  print_head(out, report);
  print(out, "%-7s %-36s %12s %12s %12s\n", "", "response (95 % interval)", "service", "sender lag",
        "host noise");
  for (const QuantileEstimate& estimate : summary.quantiles) {
    print(out, "%-7s %-36s %12s %12s %12s\n", quantile_name(estimate.quantile).c_str(),
          estimate_text(estimate).c_str(), plain_text(summary.service, estimate.quantile).c_str(),
          plain_text(summary.lag, estimate.quantile).c_str(),
          plain_text(summary.noise, estimate.quantile).c_str());
  }
  print(out, "n       %-36llu %12llu %12llu %12llu\n",
        static_cast<unsigned long long>(summary.response.total()),
        static_cast<unsigned long long>(summary.service.total()),
        static_cast<unsigned long long>(summary.lag.total()),
        static_cast<unsigned long long>(summary.noise.total()));
  out << "response counts from the intended time, service from the time of sending (uncorrected)\n";
  if (summary.has_stages) print_stages(out, summary);
  out << '\n' << to_string(report.judgement.verdict) << '\n';
  for (const std::string& reason : report.judgement.reasons) out << "  " << reason << '\n';
}

void write_csv(std::ostream& out, const RunReport& report) {
  const Summary& summary = report.summary;
  out << "time,percentile,us,low_us,high_us,n,missing_samples\n";
  for (const QuantileEstimate& estimate : summary.quantiles) {
    print(out, "response,%.8g,", 100.0 * estimate.quantile);
    if (estimate.missing == 0) print(out, "%.3f,", us(estimate.value));
    if (estimate.missing > 0) out << ',';
    if (estimate.missing == 0 && !estimate.lower_open) print(out, "%.3f", us(estimate.lower));
    out << ',';
    if (estimate.missing == 0 && !estimate.upper_open) print(out, "%.3f", us(estimate.upper));
    print(out, ",%llu,%llu\n", static_cast<unsigned long long>(summary.response.total()),
          static_cast<unsigned long long>(estimate.missing));
  }
  const std::array<std::pair<const char*, const Histogram*>, 4> others = {
      {{"service", &summary.service},
       {"lag", &summary.lag},
       {"blocked", &summary.blocked},
       {"noise", &summary.noise}}};
  for (const auto& [name, histogram] : others) {
    for (const double quantile : kQuantiles) {
      if (histogram->total() < engine::samples_needed(quantile)) continue;
      print(out, "%s,%.8g,%.3f,,,%llu,0\n", name, 100.0 * quantile,
            us(histogram->value_at(quantile)), static_cast<unsigned long long>(histogram->total()));
    }
  }
}

void write_hlog(std::ostream& out, const RunReport& report, const Records& records,
                std::size_t sent, double start_unix_s) {
  report::write_log_header(out, "loadgen " + report.title.target, start_unix_s);
  constexpr std::uint64_t kInterval = 1'000'000'000;
  std::array<report::LogInterval, 3> lines;
  lines[0].tag = "response";
  lines[1].tag = "service";
  lines[2].tag = "lag";
  const auto flush = [&](std::uint64_t second) {
    for (report::LogInterval& line : lines) {
      line.start_s = static_cast<double>(second);
      line.length_s = 1.0;
      if (line.histogram.total() > 0) report::write_log_interval(out, line);
      line.histogram.clear();
    }
  };
  std::uint64_t second = 0;
  for (std::size_t i = 0; i < sent; ++i) {
    const Record& record = records.all()[i];
    if (record.intended_ns / kInterval != second) {
      flush(second);
      second = record.intended_ns / kInterval;
    }
    lines[2].histogram.record(record.sent_ns - std::max(record.intended_ns, record.freed_ns));
    if (record.outcome != Outcome::ok) continue;
    lines[0].histogram.record(record.done_ns - record.intended_ns);
    lines[1].histogram.record(record.done_ns - record.sent_ns);
  }
  flush(second);
}

}  // namespace vecserve::loadgen
