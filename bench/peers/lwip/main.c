/* Serves four ports with lwIP at a TUN that is standard input: discard, chargen, echo, and one that says one octet.
 *
 * Packets go straight into the stack and out of it, in one thread, through the callbacks of its raw interface, which is the fastest
 * that it has. The benchmark builds and starts this; it ends when it is killed. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lwip/ip4.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/tcp.h"
#include "lwip/tcpip.h"

enum { TUN = 0, MTU = 1500, BATCH = 64, PARTS_MAX = 64, TEXT = 256 << 10 };

/* What chargen sends; nobody has to copy it. */
static char text[TEXT];
static struct netif interface;

/* Writes a packet in as many parts as it has. */
static err_t output(struct netif *netif, struct pbuf *packet, const ip4_addr_t *to) {
    struct iovec parts[PARTS_MAX];
    int count = 0;
    (void)netif;
    (void)to;
    for (struct pbuf *part = packet; part != NULL; part = part->next) {
        if (count == PARTS_MAX)
            return ERR_BUF;
        parts[count].iov_base = part->payload;
        parts[count++].iov_len = part->len;
    }
    return writev(TUN, parts, count) < 0 ? ERR_IF : ERR_OK;
}

static err_t set_up(struct netif *netif) {
    netif->name[0] = 't';
    netif->name[1] = 'n';
    netif->mtu = MTU;
    netif->output = output;
    return ERR_OK;
}

static void on_error(void *argument, err_t error) {
    (void)argument;
    (void)error;
}

/* Closes, or resets where there is no memory for a FIN. */
static err_t end(struct tcp_pcb *pcb) {
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    if (tcp_close(pcb) == ERR_OK)
        return ERR_OK;
    tcp_abort(pcb);
    return ERR_ABRT;
}

static err_t discard(void *argument, struct tcp_pcb *pcb, struct pbuf *packet, err_t error) {
    (void)argument;
    (void)error;
    if (packet == NULL)
        return end(pcb);
    tcp_recved(pcb, packet->tot_len);
    pbuf_free(packet);
    return ERR_OK;
}

static err_t echo(void *argument, struct tcp_pcb *pcb, struct pbuf *packet, err_t error) {
    (void)argument;
    (void)error;
    if (packet == NULL)
        return end(pcb);
    for (struct pbuf *part = packet; part != NULL; part = part->next)
        if (tcp_write(pcb, part->payload, part->len, TCP_WRITE_FLAG_COPY) != ERR_OK) {
            pbuf_free(packet);
            tcp_abort(pcb);
            return ERR_ABRT;
        }
    tcp_recved(pcb, packet->tot_len);
    pbuf_free(packet);
    tcp_output(pcb);
    return ERR_OK;
}

/* Queues as much as there is room for. */
static err_t generate(void *argument, struct tcp_pcb *pcb, u16_t acked) {
    (void)argument;
    (void)acked;
    for (;;) {
        u32_t room = tcp_sndbuf(pcb);
        u16_t len = room > 0xffff ? 0xffff : (u16_t)room;
        /* Halves: the queue may lack segments for all of it. */
        while (len > 0 && tcp_write(pcb, text, len, 0) != ERR_OK)
            len /= 2;
        if (len == 0)
            break;
    }
    tcp_output(pcb);
    return ERR_OK;
}

static err_t accept_discard(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    if (error != ERR_OK || pcb == NULL)
        return ERR_VAL;
    tcp_err(pcb, on_error);
    tcp_recv(pcb, discard);
    return ERR_OK;
}

static err_t accept_chargen(void *argument, struct tcp_pcb *pcb, err_t error) {
    err_t refused = accept_discard(argument, pcb, error);
    if (refused != ERR_OK)
        return refused;
    tcp_sent(pcb, generate);
    return generate(NULL, pcb, 0);
}

static err_t accept_echo(void *argument, struct tcp_pcb *pcb, err_t error) {
    err_t refused = accept_discard(argument, pcb, error);
    if (refused != ERR_OK)
        return refused;
    tcp_nagle_disable(pcb);
    tcp_recv(pcb, echo);
    return ERR_OK;
}

static err_t accept_one_octet(void *argument, struct tcp_pcb *pcb, err_t error) {
    err_t refused = accept_discard(argument, pcb, error);
    if (refused != ERR_OK)
        return refused;
    /* What the client sees if this fails is that nothing comes. */
    (void)tcp_write(pcb, "x", 1, 0);
    return end(pcb);
}

static int listen_at(const char *port, tcp_accept_fn accept) {
    struct tcp_pcb *pcb = tcp_new();
    if (pcb == NULL || tcp_bind(pcb, IP4_ADDR_ANY, (u16_t)atoi(port)) != ERR_OK)
        return -1;
    pcb = tcp_listen_with_backlog(pcb, 255);
    if (pcb == NULL)
        return -1;
    tcp_accept(pcb, accept);
    return 0;
}

/* Takes what has arrived, a batch at most; returns how many packets. */
static int take(void) {
    static char buffer[MTU];
    int taken = 0;
    ssize_t len;
    LOCK_TCPIP_CORE();
    while (taken < BATCH && (len = read(TUN, buffer, sizeof buffer)) > 0) {
        struct pbuf *packet = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_RAM);
        taken++;
        if (packet == NULL)
            continue;
        memcpy(packet->payload, buffer, (size_t)len);
        if (ip4_input(packet, &interface) != ERR_OK)
            pbuf_free(packet);
    }
    UNLOCK_TCPIP_CORE();
    return taken;
}

int main(int argc, char **argv) {
    ip4_addr_t address, mask, none = {0};
    if (argc != 6 || !ip4addr_aton(argv[1], &address)) {
        fprintf(stderr, "usage: lwip ADDRESS DISCARD CHARGEN ECHO ONE-OCTET < TUN\n");
        return 2;
    }
    if (fcntl(TUN, F_SETFL, O_NONBLOCK) < 0) {
        perror("TUN");
        return 1;
    }
    tcpip_init(NULL, NULL);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    LOCK_TCPIP_CORE();
    netif_add(&interface, &address, &mask, &none, NULL, set_up, ip4_input);
    netif_set_default(&interface);
    netif_set_link_up(&interface);
    netif_set_up(&interface);
    int failed = listen_at(argv[2], accept_discard) | listen_at(argv[3], accept_chargen) |
                 listen_at(argv[4], accept_echo) | listen_at(argv[5], accept_one_octet);
    UNLOCK_TCPIP_CORE();
    if (failed) {
        fprintf(stderr, "a port is not free\n");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;)
        if (take() == 0) {
            struct pollfd ready = {.fd = TUN, .events = POLLIN};
            poll(&ready, 1, -1);
        }
}
