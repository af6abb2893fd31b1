// OpenSSL from the other side: certificates signed by themselves, and a client's handshake. Test
// thread.
// Always holds: what the library allocates is owned by a unique_ptr, so a failed case leaks
// nothing.
#include "tests/support/tls_peer.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <stdexcept>
#include <utility>

namespace vecserve::test {

namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using File = std::unique_ptr<std::FILE, Deleter<std::fclose>>;

void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

void add_extension(X509* certificate, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
  require(extension != nullptr, "certificate extension");
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate self_signed(EVP_PKEY* key, const std::string& name) {
  constexpr long kDaySeconds = 24 * 3'600;
  Certificate certificate(X509_new());
  X509* const raw = certificate.get();
  X509_set_version(raw, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(raw), 1);
  X509_gmtime_adj(X509_getm_notBefore(raw), -kDaySeconds);
  X509_gmtime_adj(X509_getm_notAfter(raw), kDaySeconds);
  X509_set_pubkey(raw, key);
  X509_NAME* const subject = X509_get_subject_name(raw);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(raw, subject);
  add_extension(raw, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(raw, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
  require(X509_sign(raw, key, EVP_sha256()) != 0, "certificate signature");
  return certificate;
}

}  // namespace

CertificateFiles make_certificate(const std::string& folder, const std::string& name) {
  const CertificateFiles files = {folder + "/" + name + ".crt", folder + "/" + name + ".key"};
  const Key key(EVP_EC_gen("P-256"));
  require(key != nullptr, "key");
  const Certificate certificate = self_signed(key.get(), name);
  const File key_file(std::fopen(files.key.c_str(), "w"));
  const File certificate_file(std::fopen(files.certificate.c_str(), "w"));
  require(key_file != nullptr && certificate_file != nullptr, "certificate files");
  PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  PEM_write_X509(certificate_file.get(), certificate.get());
  return files;
}

struct TlsPeer::State {
  std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>> context{SSL_CTX_new(TLS_client_method())};
  std::unique_ptr<SSL, Deleter<SSL_free>> ssl;
};

TlsPeer::TlsPeer(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsPeer::TlsPeer(TlsPeer&& other) noexcept = default;
TlsPeer& TlsPeer::operator=(TlsPeer&& other) noexcept = default;
TlsPeer::~TlsPeer() = default;

std::optional<TlsPeer> TlsPeer::shake_hands(int fd, const TlsWishes& wishes) {
  auto state = std::make_unique<State>();
  SSL_CTX* const context = state->context.get();
  if (wishes.version_max != 0) {
    SSL_CTX_set_max_proto_version(context, wishes.version_max);
    // Debian's OpenSSL would not even offer what is too old.
    SSL_CTX_set_min_proto_version(context, 0);
    SSL_CTX_set_security_level(context, 0);
  }
  if (!wishes.ca_file.empty()) {
    SSL_CTX_load_verify_locations(context, wishes.ca_file.c_str(), nullptr);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  if (!wishes.certificate.empty()) {
    SSL_CTX_use_certificate_file(context, wishes.certificate.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context, wishes.key.c_str(), SSL_FILETYPE_PEM);
  }
  state->ssl.reset(SSL_new(context));
  SSL_set_fd(state->ssl.get(), fd);
  if (SSL_connect(state->ssl.get()) != 1) return std::nullopt;
  return TlsPeer(std::move(state));
}

bool TlsPeer::send(std::string_view bytes) {
  return SSL_write(state_->ssl.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
}

std::string TlsPeer::receive() {
  std::string bytes(4'096, '\0');
  const int count = SSL_read(state_->ssl.get(), bytes.data(), static_cast<int>(bytes.size()));
  bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return bytes;
}

std::string TlsPeer::version() const {
  return SSL_get_version(state_->ssl.get());
}

bool TlsPeer::renegotiate() {
  SSL* const ssl = state_->ssl.get();
  return SSL_renegotiate(ssl) == 1 && SSL_do_handshake(ssl) == 1 &&
         SSL_renegotiate_pending(ssl) == 0;
}

}  // namespace vecserve::test
