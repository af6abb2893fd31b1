// What /metrics answers: everything a server knows of itself, in the text format of Prometheus.
// Reads stats, counters, the serving core and the database; called by the HTTP face.
// Any thread, as often as somebody asks; costs about a millisecond.
// Always holds: label values come from fixed lists, but for names of collections, which the
// database bounds and of which at most metric_collections are told.
#pragma once

#include <string>

#include "net/server_shared.h"
#include "net/stats.h"
#include "vecserve/database.h"

namespace vecserve::net {

struct MetricSources {
  const ServerStats* stats = nullptr;
  const Database* database = nullptr;
  const ServerCounters* counters = nullptr;  // may be null: then nothing of connections is told
};

[[nodiscard]] std::string prometheus_text(const MetricSources& sources);

}  // namespace vecserve::net
