// Opening, writing and complaining. See run_files.h; main thread.
// Always holds: what was written is flushed before the next file is begun.
// The forms themselves are those of output, write_views and report/histogram_log.
#include "tools/loadgen/run_files.h"

#include <fstream>
#include <iostream>
#include <stdexcept>

#include "tools/loadgen/output.h"
#include "tools/loadgen/write_views.h"
#include "tools/report/histogram_log.h"

namespace vecserve::loadgen {

void add_file_flags(CLI::App& app, RunFiles& files) {
  app.add_option("--json", files.json, "one JSON line per result to this file, - for stdout");
  app.add_option("--csv", files.csv, "percentiles as CSV");
  app.add_option("--hgrm", files.hgrm, "response spectrum in HdrHistogram's text form, us");
  app.add_option("--hlog", files.hlog, "a histogram a second in HdrHistogram's log form, ns");
  app.add_option("--svg", files.svg, "the spectrum, or the curve where there are several rates");
  app.add_option("--html", files.html, "all views in one page");
}

void write_to(const std::string& path, const std::function<void(std::ostream&)>& write) {
  if (path.empty()) return;
  if (path == "-") {
    write(std::cout);
    std::cout.flush();
    return;
  }
  std::ofstream out(path, std::ios::trunc);
  write(out);
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

void append_json(const std::string& path, const nlohmann::ordered_json& json) {
  if (path.empty()) return;
  if (path == "-") {
    std::cout << json.dump() << std::endl;
    return;
  }
  std::ofstream out(path, std::ios::app);
  out << json.dump() << '\n';
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

void write_run_files(const RunFiles& files, const LoadRun& run) {
  write_to(files.csv, [&](std::ostream& out) { write_csv(out, run.report); });
  write_to(files.hgrm,
           [&](std::ostream& out) { report::write_spectrum(out, run.report.summary.response); });
  write_to(files.hlog, [&](std::ostream& out) {
    write_hlog(out, run.report, *run.records, run.result.sent, run.start_unix_s);
  });
  write_to(files.svg, [&](std::ostream& out) { out << views_svg(run); });
  write_to(files.html, [&](std::ostream& out) { out << views_html(run); });
}

}  // namespace vecserve::loadgen
