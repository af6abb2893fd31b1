// Certificates made on the spot, and a TLS client that can be told to misbehave. For tests of the
// server's TLS; test thread. Always holds: keys are fresh in every run and only ever in temporary
// folders.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace vecserve::test {

// Writes a self-signed certificate for 127.0.0.1 and localhost, and its key, as PEM files.
struct CertificateFiles {
  std::string certificate;
  std::string key;
};
[[nodiscard]] CertificateFiles make_certificate(const std::string& folder, const std::string& name);

struct TlsWishes {
  int version_max = 0;        // such as TLS1_1_VERSION; 0: no bound
  std::string ca_file{};      // "": whatever the server shows is believed
  std::string certificate{};  // to show; "": none
  std::string key{};
};

// TLS over a socket that somebody else owns.
class TlsPeer {
 public:
  // nullopt if the handshake fails, which in TLS 1.3 may show only at the first read.
  [[nodiscard]] static std::optional<TlsPeer> shake_hands(int fd, const TlsWishes& wishes = {});
  TlsPeer(TlsPeer&& other) noexcept;
  TlsPeer& operator=(TlsPeer&& other) noexcept;
  ~TlsPeer();

  [[nodiscard]] bool send(std::string_view bytes);
  // At least one byte; "" at the end or on an error.
  [[nodiscard]] std::string receive();
  [[nodiscard]] std::string version() const;  // "TLSv1.3"
  // Asks for a renegotiation (TLS 1.2 only); true if the server grants it.
  [[nodiscard]] bool renegotiate();

 private:
  struct State;
  explicit TlsPeer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace vecserve::test
