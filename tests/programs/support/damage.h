// One damage to one file of a database folder, drawn from dice. Comes between copy_image and
// sweep_trial; main thread. Always holds: a damage changes the folder (a flip really flips, a
// truncation really cuts), so that a trial never judges an undamaged copy by accident.
#pragma once

#include <cstdint>
#include <string>

#include "tests/support/dice.h"

namespace vecserve::test {

enum class DamageKind : std::uint8_t { flip, truncate, zero, remove, stray };
inline constexpr std::uint32_t kDamageKinds = 5;
[[nodiscard]] const char* damage_name(DamageKind kind);

struct Damage {
  DamageKind kind = DamageKind::flip;
  std::string file;        // relative to the folder
  std::string file_class;  // such as "sst", "wal", "manifest"
  std::uint64_t at = 0;    // flip: bit; truncate: new size; zero: first byte
  std::uint64_t seed = 0;  // stray: of its content
};

// What a file of the folder is, by its name.
[[nodiscard]] std::string file_class_of(const std::string& name);

// Draws a kind, then a file class, then a file of it, so that rare files are hit as often as table
// files.
[[nodiscard]] Damage draw_damage(const std::string& image, Dice& dice);

// False when this damage would change nothing (zeroing zeros): draw again.
[[nodiscard]] bool apply_damage(const std::string& folder, const Damage& damage);

}  // namespace vecserve::test
