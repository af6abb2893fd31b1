// Every bound of the wire and the server in one place: sizes of frames and buffers, counts of
// connections and requests, and how long anything may take. Stands beside engine/base/limits.h and
// below everything else in this folder. Always holds: the relations at the end. Those named
// *_default can be set by whoever runs the server; the others cannot.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace vecserve::net::limits {

// Frames.
inline constexpr std::size_t frame_bytes_max_default = std::size_t{64} << 20;  // body of one frame
inline constexpr std::size_t frame_bytes_ceiling = std::size_t{1} << 30;  // the most it can be set
inline constexpr std::size_t hello_bytes_max = 4'096;      // body of a frame before the hello
inline constexpr std::size_t token_bytes_max = 1'024;      // a token as text
inline constexpr std::size_t client_name_bytes_max = 128;  // what a client calls itself
inline constexpr std::size_t message_bytes_max = 4'096;    // text of an error reply
inline constexpr std::size_t path_bytes_max = 4'096;       // a path in a reply
inline constexpr std::size_t read_bytes_first = 8'192;     // the read buffer of a new connection
inline constexpr std::size_t read_bytes = std::size_t{64} << 10;    // taken from a socket at once
inline constexpr std::size_t write_bytes = std::size_t{256} << 10;  // given to a socket at once
inline constexpr std::uint32_t fields_max = 4'194'304;  // tagged fields of one body, nested counted
inline constexpr std::uint32_t scan_page_rows_default = 256;          // rows of one scan frame
inline constexpr std::size_t scan_page_bytes = std::size_t{1} << 20;  // after which a page closes

// One connection.
inline constexpr std::uint32_t connection_requests_max_default = 1'024;  // unanswered requests
inline constexpr std::size_t connection_bytes_max_default = std::size_t{128} << 20;  // of those
inline constexpr std::size_t outbox_bytes_soft = std::size_t{1} << 20;  // reading pauses above it
inline constexpr std::size_t outbox_bytes_max_default = std::size_t{8} << 20;  // cut off above it
inline constexpr std::uint32_t connection_scans_max = 4;                       // running scans
inline constexpr std::uint32_t faults_max = 16;  // bad bodies in a row before the connection closes

// The server.
inline constexpr std::uint32_t connections_max_default = 4'096;
inline constexpr std::uint32_t connections_strange_max_default = 1'024;  // not yet authenticated
inline constexpr std::size_t total_bytes_max_default = std::size_t{1} << 30;  // in flight, of all
inline constexpr std::uint32_t io_threads_max = 64;
inline constexpr std::uint32_t scans_max = 256;  // running scans of all connections
inline constexpr std::uint32_t tokens_max = 4'096;
inline constexpr std::size_t token_file_bytes_max = std::size_t{4} << 20;
inline constexpr std::uint32_t auth_addresses_max = 16'384;  // whose failures are remembered
inline constexpr std::uint32_t auth_failures_free = 8;       // before an address has to wait

// The serving core.
inline constexpr std::uint32_t lanes_max = 64;             // of one dispatch
inline constexpr std::uint32_t batch_weight_max = 65'536;  // queries of one batch
inline constexpr std::size_t groups_max = 1'024;  // kinds of search with a cost model of their own
inline constexpr std::uint32_t sweep_works = 32;  // looked at for expiry when a batch closes

// What a server remembers of itself.
inline constexpr std::size_t metric_collections = 1'000;  // with metrics of their own
inline constexpr std::size_t slow_minutes = 5;            // for which the slowest requests are kept
inline constexpr std::size_t slow_kept = 20;              // of each minute
inline constexpr std::size_t history_points = 300;        // of a second each

// The HTTP face.
inline constexpr std::size_t http_threads = 4;             // that answer
inline constexpr std::size_t http_body_bytes_max = 4'096;  // of a request: none has use for any
inline constexpr std::size_t http_keep_alive_max =
    1;  // requests of a connection: idle ones would hold threads
inline constexpr std::chrono::seconds http_timeout{5};  // to read, to write, between requests
inline constexpr std::chrono::milliseconds history_every{1'000};

// Time.
inline constexpr std::chrono::milliseconds hello_timeout_default{5'000};  // until the hello is done
inline constexpr std::chrono::milliseconds frame_timeout_default{10'000};  // first to last byte
inline constexpr std::chrono::milliseconds idle_timeout_default{300'000};  // between two frames
inline constexpr std::chrono::milliseconds write_timeout_default{10'000};  // no byte was taken
inline constexpr std::chrono::milliseconds drain_timeout{10'000};  // from SIGTERM to the end
inline constexpr std::chrono::milliseconds linger_timeout{1'000};  // for a last error reply
inline constexpr std::size_t frame_bytes_per_second = std::size_t{256} << 10;  // earn more time
inline constexpr std::chrono::milliseconds accept_pause{50};        // after a failed accept
inline constexpr std::chrono::milliseconds auth_delay_max{30'000};  // after many failures
inline constexpr std::uint32_t deadline_us_max = 3'600'000'000;     // an hour

static_assert(hello_bytes_max >= token_bytes_max + client_name_bytes_max + 256);
static_assert(hello_bytes_max + 32 <= read_bytes_first, "a hello fits the first read");
static_assert(frame_bytes_max_default <= frame_bytes_ceiling);
static_assert(frame_bytes_ceiling <= UINT32_MAX, "the length on the wire has 32 bits");
static_assert(outbox_bytes_soft < outbox_bytes_max_default);
static_assert(scan_page_bytes <= outbox_bytes_soft);

}  // namespace vecserve::net::limits
