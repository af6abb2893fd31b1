// Runs of the rig as rows of the table and plots. After tools/hedge/rig; main thread. Always holds:
// a row says whether servers scan or only take time.
// What the essay measured stands in the same rows.
#include "tools/lab/hedging.h"

#include <utility>

#include "tools/hedge/rig.h"
#include "tools/plot/scale.h"
#include "tools/plot/views.h"

namespace vecserve::lab {
namespace {

using plot::Quantity;

// Of what three services can do. Low enough for a host whose cores the servers, their client and
// the sender share.
constexpr double kLoad = 0.3;
constexpr double kQuickLoad = 0.15;

std::string share_text(double share) {
  return plot::text_of(Quantity::share, share);
}

std::string told(const hedge::RigRun& run) {
  const HedgeStats& stats = run.stats;
  return run.replicas + ", offered " + plot::text_of(Quantity::per_second, run.offered) +
         "; second copies " + std::to_string(stats.hedges) + " of " + std::to_string(stats.calls) +
         " calls, won " + std::to_string(stats.wins) + ", losers cancelled while queued " +
         std::to_string(stats.cancelled_queued) + ", while running " +
         std::to_string(stats.cancelled_running) + ", wasted " + std::to_string(stats.wasted) +
         "; work for nobody " + share_text(run.extra_work()) + ".";
}

Row row_of(std::string name, const hedge::RigRun& run) {
  Row row;
  row.name = std::move(name);
  row.measures = "response time, " + run.replicas;
  fill(row, run.latencies_us());
  return row;
}

struct Pair {
  hedge::RigRun plain, hedged;
};

Result<Pair> run_both(hedge::RigOptions rig) {
  Pair pair;
  for (const bool hedging : {false, true}) {
    rig.hedging = hedging;
    Result<hedge::RigRun> run = hedge::run_rig(rig);
    if (!run.ok()) return run.status();
    (hedging ? pair.hedged : pair.plain) = std::move(run).value();
  }
  return pair;
}

plot::Figure overlay(const std::string& id, const std::string& title, const Pair& pair) {
  return plot::overlay_figure({id, title,
                               "response time from the intended start, " + pair.hedged.replicas +
                                   ", the same arrivals and stalls"},
                              plot::spectrum_of("unhedged", pair.plain.latencies_us()),
                              plot::spectrum_of("hedged", pair.hedged.latencies_us()));
}

// The essay's figures of the client before each service: p50, p99, p99.9.
struct Essay {
  double p50_us, p99_us, p999_us;
};

Status tell_services(const StoryOptions& options, Story& story,
                     const std::function<void(const std::string&)>& progress) {
  plot::Section section{
      "A hedging client before both batch services",
      {"Three servers of each policy at " + share_text(options.quick ? kQuickLoad : kLoad) +
       " of their capacity, each of which stalls for 50 ms "
       "about every 2.5 s. Where nothing is overloaded, bounds do not matter and stalls make the "
       "tail; the client takes late calls elsewhere."},
      {},
      {}};
  const std::pair<batchd::Policy, Essay> chapters[] = {
      {batchd::Policy::unbounded, {20'100.0, 29'600.0, 205'800.0}},
      {batchd::Policy::bounded, {20'500.0, 107'900.0, 219'500.0}}};
  for (const auto& [policy, essay] : chapters) {
    const std::string name(to_string(policy));
    progress("three batch services, " + name + ", unhedged and hedged");
    hedge::RigOptions rig;
    rig.batch_policy = policy;
    rig.load = options.quick ? kQuickLoad : kLoad;
    rig.seed = options.seed;
    rig.seconds = options.quick ? 4.0 : 20.0;
    Result<Pair> pair = run_both(rig);
    if (!pair.ok()) return pair.status();
    story.rows.push_back(row_of("three " + name + " services, unhedged", pair->plain));
    Row row = row_of("three " + name + " services, hedged", pair->hedged);
    row.essay_p50_us = essay.p50_us;
    row.essay_p99_us = essay.p99_us;
    row.essay_p999_us = essay.p999_us;
    story.rows.push_back(row);
    section.paragraphs.push_back(told(pair->hedged));
    section.figures.push_back(
        overlay("hedged_" + name, "Three " + name + " services, hedged and not", *pair));
  }
  story.sections.push_back(std::move(section));
  return {};
}

std::vector<plot::TimedSample> timed(const hedge::RigRun& run) {
  std::vector<plot::TimedSample> samples;
  for (const loadgen::Record& record : run.run.records->all()) {
    if (record.outcome != loadgen::Outcome::ok) continue;
    samples.push_back({static_cast<double>(record.intended_ns) * 1e-9,
                       static_cast<double>(record.done_ns - record.intended_ns) * 1e-3});
  }
  return samples;
}

Status tell_vecserve(const StoryOptions& options, Story& story,
                     const std::function<void(const std::string&)>& progress) {
  progress("vecserve, three replicas with injected stalls, unhedged and hedged");
  hedge::RigOptions rig;
  rig.real_scans = true;
  rig.load = 0.25;
  rig.seed = options.seed;
  rig.seconds = options.quick ? 5.0 : 30.0;
  Result<Pair> pair = run_both(rig);
  if (!pair.ok()) return pair.status();
  story.rows.push_back(row_of("vecserve, three replicas, unhedged", pair->plain));
  Row row = row_of("vecserve, three replicas, hedged", pair->hedged);
  row.essay_p50_us = 7'250.0;
  row.essay_p99_us = 10'570.0;
  row.essay_p999_us = 53'920.0;
  story.rows.push_back(row);
  const std::string what = "response time from the intended start, " + pair->hedged.replicas;
  story.sections.push_back(
      {"vecserve behind the hedging client",
       {"Three servers, each scans 60,000 rows of 128 dimensions for every search and stalls for "
        "50 ms about every 2.5 s.",
        told(pair->hedged)},
       {},
       {overlay("vecserve_hedged", "vecserve, hedged and not", *pair),
        plot::heat_figure({"vecserve_plain_heat", "Unhedged, over time", what},
                          plot::heat_of(timed(pair->plain))),
        plot::heat_figure({"vecserve_hedged_heat", "Hedged, over time", what},
                          plot::heat_of(timed(pair->hedged)))}});
  return {};
}

}  // namespace

Status tell_hedging(const StoryOptions& options, Story& story,
                    const std::function<void(const std::string&)>& progress) {
  VECSERVE_TRY(tell_services(options, story, progress));
  return tell_vecserve(options, story, progress);
}

}  // namespace vecserve::lab
