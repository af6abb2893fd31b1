// The order of the writes of one connection: a write begins only when the earlier ones that touch a
// row of it are done, so that what a client pipelines to one row happens in the order in which it
// was sent, while writes to different rows share the lanes and the disk. A write that names no rows
// (by a filter, or of a whole collection) keeps its place among all.
// Comes between the conversation and the dispatch of writes, under the conversation's mutex.
// Always holds: a write waits for earlier ones only, so that none waits for ever; what is
// remembered is what has not left.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "vecserve/types.h"

namespace vecserve::net {

class WriteOrder {
 public:
  // Rows as numbers. Different rows may have the same: their writes are then in order, too.
  using Key = std::uint64_t;
  [[nodiscard]] static Key key_of(std::string_view collection, const RowId& id);

  // A write with a number that is not in here, and the rows that it touches; none: all. True: it
  // may begin. False: a later leave() will name it.
  [[nodiscard]] bool enter(std::uint64_t number, std::vector<Key> keys);

  // A write that was allowed to begin is done, whatever became of it. Appends the numbers of those
  // that may begin now. One that is no longer wanted leaves when its turn comes, no sooner: those
  // behind it must not overtake those before it.
  void leave(std::uint64_t number, std::vector<std::uint64_t>& ready);

  [[nodiscard]] std::size_t size() const { return writes_.size(); }

 private:
  struct Write {
    std::vector<Key> keys;
    std::size_t waits_for = 0;             // writes that have not left
    std::vector<std::uint64_t> followers;  // that wait for this one
  };
  void follow(std::uint64_t number, Write& write, std::uint64_t earlier);

  std::unordered_map<std::uint64_t, Write> writes_;
  std::unordered_map<Key, std::uint64_t> latest_;  // write of each row
  std::optional<std::uint64_t> latest_of_all_;     // write of all rows
};

}  // namespace vecserve::net
