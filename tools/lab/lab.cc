// lab: the whole story on this machine in one go: a table beside the essay's, and one HTML page
// with every plot. Flags, printing and the file; the chapters are in story.cc. Main thread.
// Exit codes: 0 the bounded service is better than the naive one by the essay's measure, 1 it is
// not or something failed, 2 wrong flags.
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tools/lab/story.h"
#include "tools/plot/scale.h"

namespace {

using namespace vecserve;

void print_table(const plot::Table& table) {
  for (const std::vector<std::string>& row : table.rows) {
    std::printf("%s (%s)\n  essay: p50 %s, p99 %s, p99.9 %s\n", row[0].c_str(), row[1].c_str(),
                row[2].c_str(), row[3].c_str(), row[4].c_str());
    std::printf("  here:  p50 %s, p99 %s, p99.9 %s, max %s, n %s, answered in time %s\n",
                row[5].c_str(), row[6].c_str(), row[7].c_str(), row[8].c_str(), row[9].c_str(),
                row[10].c_str());
  }
}

bool write_report(const std::string& path, const lab::StoryOptions& options,
                  const lab::Story& story, const std::string& verdict) {
  plot::Report report;
  report.title = "The latency lab";
  report.lead = verdict;
  report.facts = {{"processors", std::to_string(std::thread::hardware_concurrency())},
                  {"command", options.quick ? "./run lab --quick" : "./run lab"},
                  {"seed", std::to_string(options.seed)}};
  report.sections.push_back({"The table",
                             {"A dash: the samples do not support it, or it was not told."},
                             {lab::table_of(story.rows)},
                             {}});
  for (const plot::Section& section : story.sections) report.sections.push_back(section);
  std::ofstream file(path);
  file << plot::to_html(report);
  return file.good();
}

}  // namespace

int main(int argc, char** argv) {
  lab::StoryOptions options;
  std::string html = "lab.html";
  CLI::App app("The essay's measurements on this machine: a table, and one page with every plot");
  app.add_flag("--quick", options.quick, "under 90 seconds");
  app.add_option("--seed", options.seed, "of schedules and stalls")->capture_default_str();
  app.add_option("--html", html, "the page to write")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  options.folder = (std::filesystem::temp_directory_path() / "lab-XXXXXX").string();
  if (mkdtemp(options.folder.data()) == nullptr) {
    std::fprintf(stderr, "lab: cannot make %s\n", options.folder.c_str());
    return 1;
  }
  const Result<lab::Story> story = lab::tell(
      options, [](const std::string& what) { std::fprintf(stderr, "lab: %s\n", what.c_str()); });
  std::error_code ignored;
  std::filesystem::remove_all(options.folder, ignored);
  if (!story.ok()) {
    std::fprintf(stderr, "lab: %s\n", story.status().to_string().c_str());
    return 1;
  }
  print_table(lab::table_of(story->rows));
  const auto time = [](double us) { return plot::text_of(plot::Quantity::micros, us); };
  const std::string verdict =
      "At the same overload the bounded service answers at p99 in " + time(story->bounded_p99_us) +
      ", " + plot::text_of(plot::Quantity::share, story->bounded_in_time) +
      " of all requests in time; the naive one in " + time(story->naive_p99_us) + ", " +
      plot::text_of(plot::Quantity::share, story->naive_in_time) + ".";
  std::printf("\n%s\n", verdict.c_str());
  if (!write_report(html, options, *story, verdict)) {
    std::fprintf(stderr, "lab: cannot write %s\n", html.c_str());
    return 1;
  }
  std::printf("report: %s\n", html.c_str());
  return story->bounded_is_better() ? 0 : 1;
}
