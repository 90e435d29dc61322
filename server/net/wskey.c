/* wskey.c - the answer to Sec-WebSocket-Key (RFC 6455, section 4.2.2): base64 of SHA-1 of the key and a fixed text.
 *
 * It proves to the peer that a WebSocket server answered and not a cache; there is nothing secret in it, so SHA-1 does.
 * The one file of net/ that knows libcrypto. */
#include <openssl/evp.h>
#include <stdio.h>

#include "server/net/inside.h"

int wskey_accept(const char *key, char out[static WSKEY_ACCEPT_TEXT])
{
    enum { SHA1_BYTES = 20 };
    char text[HTTP_KEY_TEXT + 36];
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int n = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    if (!EVP_Digest(text, (size_t)n, digest, &len, EVP_sha1(), NULL) || len != SHA1_BYTES) return ERR_NOMEM;
    EVP_EncodeBlock((unsigned char *)out, digest, SHA1_BYTES);     /* writes the NUL too */
    return 0;
}
