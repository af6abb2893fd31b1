// Checkpoints and restoring them: whole, verified, and nothing left behind when they fail. Beside
// the fault tests, which look at the live database. One thread, and a writer in one case.
// Always holds: a copy is judged by opening it, not by its files.
#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>

#include "tests/support/store/fault_fs.h"
#include "tests/support/store/store_opening.h"

namespace vecserve::engine {
namespace {

namespace fs = std::filesystem;

struct Subject {
  Subject() {
    options.rocksdb_env = env.env.get();
    options.write_buffer_bytes = std::size_t{64} << 10;
    REQUIRE(reopen(store, options).ok());
    model.create(0, "a");
    for (int id = 0; id < 200; ++id) model.put(0, id, std::string(500, 'x'));
    model.request({1, 1});
    REQUIRE(model.apply(*store).ok());
  }
  // What lies beside the database.
  [[nodiscard]] std::size_t neighbours() const { return files_like(folder.root(), "", "").size(); }

  TempFolder folder;
  FaultEnv env;
  StoreOptions options = store_at(folder);
  std::unique_ptr<Store> store;
  StoreModel model;
};

TEST_CASE("checkpoint: is a whole database as of then, while writing goes on", "[checkpoint]") {
  Subject subject;
  auto info = subject.store->checkpoint(subject.folder.path("copy") + "/");
  INFO(info.status().to_string());
  REQUIRE(info.ok());
  CHECK(info->path == subject.folder.path("copy"));
  CHECK(info->sequence == 1);
  CHECK(info->collections == 1);
  CHECK(info->rows == 200);
  CHECK(info->bytes > 200 * 500);
  const ModelState then = subject.model.acked();
  subject.model.erase(0, 7);
  REQUIRE(subject.model.apply(*subject.store).ok());

  std::unique_ptr<Store> copy;
  auto state = reopen(copy, store_at(subject.folder, "copy"));
  INFO(state.status().to_string());
  REQUIRE(state.ok());
  CHECK(difference(then, *state) == "");
  StoreModel written(*state);
  written.put(0, 1'000);
  REQUIRE(written.apply(*copy).ok());  // the two go their own ways
  CHECK(difference(subject.model.acked(), *reopen(subject.store, subject.options)) == "");
}

TEST_CASE("checkpoint: holds a cut between two commits made beside it", "[checkpoint]") {
  Subject subject;
  std::vector<ModelState> states{ModelState(), subject.model.acked()};
  std::thread writer([&] {
    for (int id = 0; id < 200; ++id) {
      subject.model.put(0, id, std::string(300, 'y'));
      if (!subject.model.apply(*subject.store).ok()) return;
      states.push_back(subject.model.acked());
    }
  });
  std::vector<Result<CheckpointInfo>> infos;
  for (int copy = 0; copy < 3; ++copy) {
    infos.push_back(subject.store->checkpoint(subject.folder.path("c" + std::to_string(copy))));
  }
  writer.join();
  REQUIRE(states.size() == 202);
  for (std::size_t copy = 0; copy < infos.size(); ++copy) {
    INFO(infos[copy].status().to_string());
    REQUIRE(infos[copy].ok());
    std::unique_ptr<Store> store;
    auto state = reopen(store, store_at(subject.folder, "c" + std::to_string(copy)));
    REQUIRE(state.ok());
    CHECK(state->sequence == infos[copy]->sequence);
    CHECK(difference(states.at(state->sequence), *state) == "");
  }
}

TEST_CASE("checkpoint: a wrong path is refused, a leftover of ours is replaced", "[checkpoint]") {
  Subject subject;
  const auto code = [&](const std::string& path) {
    return subject.store->checkpoint(path).status().code();
  };
  CHECK(code("") == StatusCode::invalid_argument);
  CHECK(code(subject.folder.path("db")) == StatusCode::already_exists);
  CHECK(code(subject.folder.path("no/where")) == StatusCode::not_found);
  fs::create_directory(subject.folder.path("copy.partial"));
  set_file_bytes(subject.folder.path("copy.partial/mine.txt"), "x");
  CHECK(code(subject.folder.path("copy")) == StatusCode::already_exists);
  CHECK(file_bytes(subject.folder.path("copy.partial/mine.txt")) == "x");
  fs::rename(subject.folder.path("copy.partial/mine.txt"),
             subject.folder.path("copy.partial/000001.log"));
  CHECK(code(subject.folder.path("copy")) == StatusCode::ok);
  CHECK(subject.neighbours() == 2);
}

TEST_CASE("checkpoint: any failing operation leaves nothing behind", "[checkpoint]") {
  Subject subject;
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth);
    Fault fault;
    fault.kinds = fault::kAll & ~fault::kRemove;
    fault.nth = nth;
    fault.name_contains = "copy";
    subject.env.fs->arm(fault);
    auto info = subject.store->checkpoint(subject.folder.path("copy"));
    const bool fired = subject.env.fs->failed() > 0;
    subject.env.fs->disarm();
    const bool published = fs::exists(subject.folder.path("copy"));
    CHECK(published == info.ok());
    if (!fired) {
      REQUIRE(info.ok());
      break;
    }
    // A failure that does not matter, such as that of a size, may be passed over.
    if (published) {
      std::unique_ptr<Store> store;
      CHECK(difference(subject.model.acked(), *reopen(store, store_at(subject.folder, "copy"))) ==
            "");
      store.reset();
      fs::remove_all(subject.folder.path("copy"));
    }
    CHECK(subject.neighbours() == 1);
  }
}

TEST_CASE("restore: copies a checkpoint, which it only reads", "[checkpoint]") {
  Subject subject;
  const std::string copy = subject.folder.path("copy");
  REQUIRE(subject.store->checkpoint(copy).ok());
  const Status status = restore_checkpoint(copy, subject.folder.path("new"));
  INFO(status.to_string());
  REQUIRE(status.ok());
  std::unique_ptr<Store> store;
  CHECK(difference(subject.model.acked(), *reopen(store, store_at(subject.folder, "new"))) == "");
  for (const auto& table : files_like(subject.folder.path("new"), "", ".sst")) {
    CHECK(fs::hard_link_count(table) == 1);
  }
  CHECK(restore_checkpoint(copy, subject.folder.path("new")).code() == StatusCode::already_exists);
  CHECK(restore_checkpoint(subject.folder.path("none"), subject.folder.path("x")).code() ==
        StatusCode::not_found);
  CHECK(restore_checkpoint(copy, subject.folder.path("no/where")).code() == StatusCode::not_found);
  CHECK(restore_checkpoint(subject.folder.path("db"), subject.folder.path("x")).code() ==
        StatusCode::failed_precondition);  // it is open
}

TEST_CASE("restore: damaged and hostile checkpoints are refused and leave nothing",
          "[checkpoint]") {
  Subject subject;
  const std::string copy = subject.folder.path("copy");
  REQUIRE(subject.store->checkpoint(copy).ok());
  const std::size_t before = subject.neighbours();
  const auto refused = [&](const fs::path& file, const std::string& damaged, StatusCode code) {
    CAPTURE(file.filename().string());
    const std::string bytes = file_bytes(file);
    set_file_bytes(file, damaged);
    CHECK(restore_checkpoint(copy, subject.folder.path("new")).code() == code);
    CHECK(subject.neighbours() == before);
    set_file_bytes(file, bytes);
  };
  const fs::path table = files_like(copy, "", ".sst").back();
  std::string flipped = file_bytes(table);
  flipped[flipped.size() / 3] ^= 1;
  refused(table, flipped, StatusCode::data_loss);
  refused(fs::path(copy) / "WATERMARK", "", StatusCode::data_loss);
  refused(fs::path(copy) / "CURRENT", "MANIFEST-009999\n", StatusCode::data_loss);

  // A link to somewhere else, even to the same bytes, is not followed.
  fs::rename(table, subject.folder.path("outside"));
  fs::create_symlink(subject.folder.path("outside"), table);
  CHECK(restore_checkpoint(copy, subject.folder.path("new")).code() ==
        StatusCode::invalid_argument);
  CHECK(subject.neighbours() == before + 1);
}

}  // namespace
}  // namespace vecserve::engine
