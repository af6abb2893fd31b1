// Damages one file of a database folder per trial (flip, truncate, zero, delete, stray file; every
// class of file; folders closed cleanly, killed, and checkpoints), opens it in a child, and sorts
// what happened. Canonical run: corruption_sweep --trials 1000 --json -. The main thread drives,
// several children run at a time. Exits with 1 unless silent_loss, wrong_answers and signals are
// all 0.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "tests/programs/support/child_process.h"
#include "tests/programs/support/damage.h"
#include "tests/programs/support/harness_output.h"
#include "tests/programs/support/sweep_images.h"
#include "tests/programs/support/sweep_trial.h"
#include "tests/support/dice.h"

namespace {

using namespace vecserve::test;
namespace fs = std::filesystem;

constexpr unsigned kTrialSecondsMax =
    60;  // a child that takes longer is ended by SIGALRM: a signal

struct Settings {
  std::uint64_t trials = 1000;
  std::uint64_t seed = 1;
  std::uint32_t jobs = 0;  // 0: one per core
  std::string json;
  std::string folder;
  bool verbose = false;
  // Of children only.
  std::string child;
  std::uint32_t image = 0;
  bool read_only = false;
  bool no_create = false;
};

struct Counts {
  std::map<std::string, std::uint64_t> by_class;
};

class Sweep {
 public:
  explicit Sweep(const Settings& settings) : settings_(settings) {
    jobs_ = settings.jobs != 0 ? settings.jobs : std::max(1u, std::thread::hardware_concurrency());
  }

  void run() {
    make_images(settings_.folder);
    for (std::uint64_t trial = 0; trial < settings_.trials; ++trial) {
      start(trial);
      if (running_.size() >= jobs_) finish_oldest();
    }
    while (!running_.empty()) finish_oldest();
  }

  [[nodiscard]] std::uint64_t bad() const {
    return total("silent_loss") + total("wrong_answers") + total("signals");
  }

  [[nodiscard]] nlohmann::ordered_json report(double seconds) const {
    nlohmann::ordered_json line = {{"program", "corruption_sweep"}, {"trials", settings_.trials}};
    for (const char* outcome :
         {"refused", "read_error", "intact", "silent_loss", "wrong_answers", "signals"}) {
      line[outcome] = total(outcome);
    }
    for (const auto& [group, outcomes] : counts_) {
      if (group == "all") continue;
      for (const auto& [outcome, count] : outcomes.by_class) line["detail"][group][outcome] = count;
    }
    line["seed"] = settings_.seed;
    line["seconds"] = seconds;
    return line;
  }

 private:
  struct Trial {
    std::uint64_t number;
    Damage damage;
    Image image;
    std::string path;
    ChildProcess child;
  };

  [[nodiscard]] std::uint64_t total(const std::string& outcome) const {
    const auto all = counts_.find("all");
    if (all == counts_.end()) return 0;
    const auto found = all->second.by_class.find(outcome);
    return found == all->second.by_class.end() ? 0 : found->second;
  }

  // Each trial has its own dice: trial 731 is the same whether or not the others ran.
  void start(std::uint64_t number) {
    Dice dice(settings_.seed, number);
    // Half of the trials meet a killed process, whose newest writes are only in the log.
    const Image image = dice.percent(50) ? Image::unclean : static_cast<Image>(dice.below(kImages));
    const std::string from = settings_.folder + "/" + image_name(image);
    const std::string path = settings_.folder + "/trial-" + std::to_string(number);
    Damage damage;
    for (bool done = false; !done;) {
      damage = draw_damage(from, dice);
      fs::remove_all(path);
      copy_image(from, path, damage.file);
      done = apply_damage(path, damage);
    }
    std::vector<std::string> words = {"--child", "trial", "--dir", path};
    if (dice.percent(25)) words.emplace_back("--read-only");
    if (dice.percent(50)) words.emplace_back("--no-create");
    if (settings_.verbose) words.emplace_back("--verbose");
    auto child = ChildProcess::start(words);
    if (!child) throw std::runtime_error("cannot start a trial");
    running_.push_back({number, damage, image, path, std::move(*child)});
  }

  void finish_oldest() {
    Trial trial = std::move(running_.front());
    running_.pop_front();
    const int status = trial.child.wait();
    const std::string outcome = outcome_of(status);
    ++counts_["all"].by_class[outcome];
    ++counts_[std::string("damage ") + damage_name(trial.damage.kind)].by_class[outcome];
    ++counts_["file " + trial.damage.file_class].by_class[outcome];
    ++counts_[std::string("image ") + image_name(trial.image)].by_class[outcome];
    const bool bad_outcome =
        outcome == "silent_loss" || outcome == "wrong_answers" || outcome == "signals";
    if (bad_outcome || settings_.verbose) {
      std::fprintf(stderr, "trial %llu (seed %llu): %s of %s at %llu in the %s image: %s\n",
                   static_cast<unsigned long long>(trial.number),
                   static_cast<unsigned long long>(settings_.seed), damage_name(trial.damage.kind),
                   trial.damage.file.c_str(), static_cast<unsigned long long>(trial.damage.at),
                   image_name(trial.image), outcome.c_str());
    }
    fs::remove_all(trial.path);
    show_progress("corruption_sweep", trial.number + 1, settings_.trials, bad());
  }

  static std::string outcome_of(int status) {
    if (!WIFEXITED(status)) return "signals";
    switch (static_cast<TrialOutcome>(WEXITSTATUS(status))) {
      case TrialOutcome::intact:
        return "intact";
      case TrialOutcome::refused:
        return "refused";
      case TrialOutcome::read_error:
        return "read_error";
      case TrialOutcome::silent_loss:
        return "silent_loss";
      case TrialOutcome::wrong_answers:
        return "wrong_answers";
    }
    return "signals";  // an exit that run_trial never makes: an exception, or a sanitizer's report
  }

  const Settings& settings_;
  std::uint32_t jobs_ = 1;
  std::deque<Trial> running_;
  std::map<std::string, Counts> counts_;
};

int run_child(const Settings& settings) {
  if (settings.child == "image") {
    return build_image(static_cast<Image>(settings.image), settings.folder);
  }
  alarm(kTrialSecondsMax);
  TrialSettings trial;
  trial.path = settings.folder;
  trial.read_only = settings.read_only;
  trial.create_if_missing = !settings.no_create;
  trial.verbose = settings.verbose;
  return static_cast<int>(run_trial(trial));
}

int run_parent(Settings settings) {
  const ScratchFolder scratch("corruption_sweep", settings.folder);
  settings.folder = scratch.path();
  const auto begin = std::chrono::steady_clock::now();
  Sweep sweep(settings);
  sweep.run();
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  print_report(sweep.report(time.count()), settings.json);
  if (sweep.bad() == 0) return 0;
  std::fprintf(stderr, "corruption_sweep: FAILED\n");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Damages copies of a database and checks that no damage passes in silence");
  app.add_option("--trials", settings.trials, "damages")->check(CLI::PositiveNumber);
  app.add_option("--seed", settings.seed, "of every random choice");
  app.add_option("--jobs", settings.jobs, "trials at a time; 0: one per core");
  app.add_option("--json", settings.json, "write one JSON line to this file, - for stdout");
  app.add_option("--dir", settings.folder, "work in this folder instead of a temporary one");
  app.add_flag("--verbose", settings.verbose, "print every trial");
  app.add_option("--child", settings.child)->group("");
  app.add_option("--image", settings.image)->group("");
  app.add_flag("--read-only", settings.read_only)->group("");
  app.add_flag("--no-create", settings.no_create)->group("");
  CLI11_PARSE(app, argc, argv);
  try {
    return settings.child.empty() ? run_parent(settings) : run_child(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "corruption_sweep: %s\n", error.what());
    return 2;
  }
}
