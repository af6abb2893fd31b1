// Writing the images: enough rows through small write buffers that there are several table files,
// then overwrites and erases, the last of them only in the WAL. Comes below corruption_sweep.
// Always holds: sweep_rows() plays the very operations that write_rows() sends.
#include "tests/programs/support/sweep_images.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <utility>
#include <vector>

#include "tests/programs/support/child_process.h"
#include "tests/programs/support/crash_events.h"
#include "vecserve/database.h"

namespace vecserve::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMainRows = 3000;
constexpr std::uint64_t kSideRows = 400;
constexpr std::uint64_t kBatchRows = 100;
constexpr std::size_t kStepsPerSession = 12;  // then closed and opened again: one more table file

// One operation of the script: rows [first, first + count) step `stride` of a collection.
struct Step {
  bool side;
  bool erase;
  std::uint64_t first, count, stride;
  std::uint32_t version;
};

std::vector<Step> script() {
  std::vector<Step> steps;
  for (std::uint64_t first = 0; first < kMainRows; first += kBatchRows) {
    steps.push_back({false, false, first, kBatchRows, 1, 1});
  }
  for (std::uint64_t first = 0; first < kSideRows; first += kBatchRows) {
    steps.push_back({true, false, first, kBatchRows, 1, 2});
  }
  for (std::uint64_t i = 0; i < 12; ++i) {
    steps.push_back({false, false, i * 200, kBatchRows / 2, 3, static_cast<std::uint32_t>(3 + i)});
    steps.push_back({false, true, i * 230 + 1, kBatchRows / 4, 7, 0});
    steps.push_back({true, i % 2 == 1, i * 30, 20, 1, static_cast<std::uint32_t>(40 + i)});
  }
  return steps;
}

template <typename F>
void for_each_id(const Step& step, F&& visit) {
  for (std::uint64_t i = 0; i < step.count; ++i) visit(step.first + i * step.stride);
}

Status run_step(const Step& step, Collection& collection, CodedBatch& batch) {
  if (step.erase) {
    std::vector<RowId> ids;
    for_each_id(step, [&](std::uint64_t id) { ids.emplace_back(id); });
    return collection.erase(ids).status();
  }
  batch.clear();
  for_each_id(step, [&](std::uint64_t id) { batch.add(id, step.version); });
  return collection.upsert(batch.inputs()).status();
}

Result<Database> open_image(const std::string& path) {
  DatabaseOptions options;
  options.threads = 1;
  return Database::open(path, options);
}

// Runs the script over several sessions, each of which leaves a table file, and returns the last
// one with its share of the operations only in the WAL.
Result<Database> write_rows(const std::string& path) {
  Result<Database> database = open_image(path);
  VECSERVE_TRY(database.status());
  VECSERVE_TRY(database->create_collection(kSweepMain, coded_collection()).status());
  VECSERVE_TRY(database->create_collection(kSweepSide, coded_collection()).status());
  CodedBatch batch;
  std::size_t done = 0;
  for (const Step& step : script()) {
    if (done++ % kStepsPerSession == 0) {
      VECSERVE_TRY(database->close());
      database = open_image(path);
      VECSERVE_TRY(database.status());
    }
    Result<Collection> collection = database->collection(step.side ? kSweepSide : kSweepMain);
    VECSERVE_TRY(collection.status());
    VECSERVE_TRY(run_step(step, *collection, batch));
  }
  return database;
}

std::string image_path(Image image, const std::string& folder) {
  return folder + "/" + image_name(image);
}

}  // namespace

const char* image_name(Image image) {
  switch (image) {
    case Image::clean:
      return "clean";
    case Image::unclean:
      return "unclean";
    case Image::checkpoint:
      return "checkpoint";
  }
  return "";
}

const SweepRows& sweep_rows() {
  static const SweepRows rows = [] {
    SweepRows built;
    for (const Step& step : script()) {
      auto& collection = step.side ? built.side : built.main;
      for_each_id(step, [&](std::uint64_t id) {
        if (step.erase) {
          collection.erase(id);
        } else {
          collection[id] = {step.version, step.version};
        }
      });
    }
    return built;
  }();
  return rows;
}

int build_image(Image image, const std::string& folder) {
  Result<Database> database =
      write_rows(image == Image::checkpoint ? folder + "/origin" : image_path(image, folder));
  Status status = database.status();
  if (status.ok() && image == Image::checkpoint) {
    status = database->checkpoint(image_path(image, folder)).status();
  }
  if (status.ok() && image == Image::unclean) {
    send_event(Event{});
    for (;;) pause();  // the parent kills us here, with everything acknowledged
  }
  if (status.ok()) status = database->close();
  if (!status.ok()) std::fprintf(stderr, "image: %s\n", status.to_string().c_str());
  return status.ok() ? 0 : 1;
}

void make_images(const std::string& folder) {
  for (std::uint32_t i = 0; i < kImages; ++i) {
    const Image image = static_cast<Image>(i);
    auto child =
        ChildProcess::start({"--child", "image", "--image", std::to_string(i), "--dir", folder});
    if (!child) throw std::runtime_error("cannot start the child that builds an image");
    if (image == Image::unclean) {
      std::vector<Event> events;
      EventReader reader(child->report_fd());
      while (events.empty() && reader.read(events, 120'000)) {
      }
      if (events.empty()) throw std::runtime_error("the unclean image was not built");
      child->kill_now();
      static_cast<void>(child->wait());
    } else if (child->wait() != 0) {
      throw std::runtime_error(std::string("cannot build the image ") + image_name(image));
    }
  }
  fs::remove_all(folder + "/origin");
}

void copy_image(const std::string& image, const std::string& to, const std::string& own) {
  fs::create_directories(to);
  for (const auto& entry : fs::recursive_directory_iterator(image)) {
    const fs::path relative = fs::relative(entry.path(), image);
    const fs::path target = fs::path(to) / relative;
    if (entry.is_directory()) {
      fs::create_directories(target);
    } else if (entry.path().extension() == ".sst" && relative != own) {
      fs::create_hard_link(entry.path(), target);
    } else {
      fs::copy_file(entry.path(), target);
    }
  }
}

}  // namespace vecserve::test
