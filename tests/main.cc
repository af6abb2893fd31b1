// The one main() of all Catch2 executables. Comes before every test case; runs on the main thread.
// Invariants: the exit code is 0 (all passed), 77 (every case that ran was skipped) or 1; a name
// that matches no case is a failure, so that a renamed case cannot pass by not running.
#define CATCH_CONFIG_RUNNER
#include "tests/support/skip.h"

#include <catch2/catch.hpp>
#include <iostream>
#include <string>

namespace vecserve::test {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitSkipped = 77;

int cases_run = 0;
int cases_skipped = 0;

// Counts the cases that ran, to tell "all skipped" from "some skipped".
class CaseCounter : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;
  void testCaseEnded(const Catch::TestCaseStats& /*stats*/) override { ++cases_run; }
};

CATCH_REGISTER_LISTENER(CaseCounter)

}  // namespace

void skip_case(const std::string& reason) {
  ++cases_skipped;
  std::cout << "skipped: " << reason << '\n';
}

}  // namespace vecserve::test

int main(int argc, char* argv[]) {
  using namespace vecserve::test;
  Catch::Session session;
  session.configData().warnings = Catch::WarnAbout::NoTests;
  const int failed = session.run(argc, argv);
  if (failed != 0) return kExitFailed;
  if (cases_run > 0 && cases_run == cases_skipped) return kExitSkipped;
  return 0;
}
