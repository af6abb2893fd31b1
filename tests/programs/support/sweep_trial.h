// The child of one trial: opens a damaged folder and says what a user would have met. Comes after
// damage; one process per trial, so that a signal is one trial's outcome. Always holds: it judges
// by sweep_rows() alone, never by what the damaged database says about itself.
#pragma once

#include <cstdint>
#include <string>

namespace vecserve::test {

// The exit codes of the child.
enum class TrialOutcome : int {
  intact = 0,         // every row is there and right, searches agree
  refused = 10,       // open returned a typed error
  read_error = 11,    // open was ok, a later read returned a typed error
  silent_loss = 12,   // no error, but rows are missing
  wrong_answers = 13  // no error, but rows or answers are wrong
};

struct TrialSettings {
  std::string path;
  bool read_only = false;
  bool create_if_missing = true;
  bool verbose = false;  // print the error met
};

[[nodiscard]] TrialOutcome run_trial(const TrialSettings& settings);

}  // namespace vecserve::test
