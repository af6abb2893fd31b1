// What vecctl works on: a server, or a folder opened in this process. Comes below the commands,
// above Client and Database; the main thread only. Every call means what its namesake in
// database.h or collection.h means.
// Always holds: after write() returned ok for some rows and flush() returned ok, they are durable.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vecserve/client.h"
#include "vecserve/collection.h"
#include "vecserve/database.h"
#include "vecserve/status.h"

namespace vecserve::vecctl {

// The search of one query, and where its time went when a server did it.
struct Answer {
  SearchResult result;
  CallInfo info;
};

class Target {
 public:
  virtual ~Target() = default;

  virtual Status create(const std::string& name, const CollectionOptions& options) = 0;
  virtual Status drop(const std::string& name) = 0;
  virtual Result<std::vector<std::string>> list() = 0;
  virtual Result<CollectionStats> stats(const std::string& name) = 0;
  virtual Result<DatabaseStats> database_stats() = 0;
  virtual Result<CheckpointInfo> checkpoint(const std::string& name) = 0;
  virtual Result<VerifyReport> verify() = 0;

  // Begins to write; several writes may be on their way. An error may be that of an earlier one.
  virtual Status write(const std::string& name, const std::vector<RowInput>& rows) = 0;
  // Waits for all of them; the first error.
  virtual Status flush() = 0;
  virtual Result<WriteResult> erase(const std::string& name, const std::vector<RowId>& ids) = 0;
  virtual Result<WriteResult> erase_where(const std::string& name, const std::string& filter) = 0;

  virtual Result<Answer> search(const std::string& name, const Query& query,
                                const SearchOptions& options) = 0;
  virtual Result<Answer> range_search(const std::string& name, const Query& query,
                                      const RangeSearchOptions& options) = 0;
  virtual Result<std::vector<std::optional<Row>>> get(const std::string& name,
                                                      const std::vector<RowId>& ids) = 0;
  virtual Result<std::uint64_t> count(const std::string& name, const std::string& filter) = 0;
  // Every row, page by page, in id order, until `page` returns an error.
  virtual Status scan(const std::string& name, const ScanOptions& options,
                      const std::function<Status(const std::vector<Row>&)>& page) = 0;
};

inline constexpr std::uint32_t kPageRows = 1'000;

// The database in the folder; it is made when `create` and there is none.
[[nodiscard]] Result<std::unique_ptr<Target>> open_folder(const std::string& folder, bool create);

// The server at the address; connected when it returns.
[[nodiscard]] Result<std::unique_ptr<Target>> open_server(const ClientOptions& options);

}  // namespace vecserve::vecctl
