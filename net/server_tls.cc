// Certificate, key and rules of TLS. Between the options and the sessions; any thread. Always
// holds: an error of OpenSSL becomes a Status that names the option, and nothing else is kept of
// it.
#include "net/server_tls.h"

#include <openssl/ssl.h>

#include <string>

namespace vecserve::net {

namespace {

Status file_error(std::string_view option, const std::string& path, const std::error_code& error) {
  return Status::invalid_argument(std::string(option), path + ": " + error.message());
}

}  // namespace

Result<std::shared_ptr<asio::ssl::context>> make_tls_context(const ServerOptions& options) {
  if (options.tls_certificate_file.empty()) return std::shared_ptr<asio::ssl::context>();
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX* const native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(
      native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  std::error_code error;
  context->use_certificate_chain_file(options.tls_certificate_file, error);
  if (error) return file_error("tls_certificate_file", options.tls_certificate_file, error);
  context->use_private_key_file(options.tls_key_file, asio::ssl::context::pem, error);
  if (error) return file_error("tls_key_file", options.tls_key_file, error);
  if (SSL_CTX_check_private_key(native) != 1) {
    return Status::invalid_argument("tls_key_file", "is not the key of the certificate");
  }
  if (!options.tls_client_ca_file.empty()) {
    context->load_verify_file(options.tls_client_ca_file, error);
    if (error) return file_error("tls_client_ca_file", options.tls_client_ca_file, error);
    context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert,
                             error);
    if (error) return file_error("tls_client_ca_file", options.tls_client_ca_file, error);
  }
  return context;
}

}  // namespace vecserve::net
