// The undamaged folders that corruption_sweep starts from, and the rows that each must give back.
// Built once per run by a child through the public API; copied for every trial. Comes before damage
// and sweep_trial. Always holds: what an image holds follows from its kind alone, so no reader of
// it need be trusted.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/support/coded_row.h"

namespace vecserve::test {

enum class Image : std::uint8_t {
  clean,       // closed properly
  unclean,     // its process was killed: live WAL, no clean stop
  checkpoint,  // made by Database::checkpoint
};
inline constexpr std::uint32_t kImages = 3;
[[nodiscard]] const char* image_name(Image image);

inline constexpr const char* kSweepMain = "main";
inline constexpr const char* kSweepSide = "side";

// Rows by id, of the main and of the second collection; the same in every image.
struct SweepRows {
  std::map<std::uint64_t, CodedVersions> main;
  std::map<std::uint64_t, CodedVersions> side;
};
[[nodiscard]] const SweepRows& sweep_rows();

// The child: builds one image below `folder` and, for `unclean`, says so and waits to be killed.
// Returns its exit code.
[[nodiscard]] int build_image(Image image, const std::string& folder);

// The parent: runs the children. Throws std::runtime_error when one fails.
void make_images(const std::string& folder);

// Copies an image so that opening and damaging the copy leaves the image alone: table files, which
// are never changed in place, become hard links; everything else, and the file `own`, is copied.
void copy_image(const std::string& image, const std::string& to, const std::string& own);

}  // namespace vecserve::test
