-- One link between two sides: bring-up with restarts, go-back-N, credits, RECOVERY and L1 (HSL 3.2 to 3.7).
-- Every cell of the state table comes from spec/link.toml: `cell` below is generated, what its codes do is written here.
-- Timers have no length: one that runs may fire at any moment. Channels are FIFOs that lose and damage flits at will.

const -- what a run explores; models.toml sets other values
  EPOCHS:   1;  -- incarnations of a side; each new one is a restart (or a T_STATE), and brings other CAPS
  DETECTED: 0;  -- 1: both sides start in DETECT, 0: in ACTIVE
  DEPTH:    2;  -- flits under way in one direction
  Q:        4;  -- SEQ modulus (1024)
  H:        2;  -- a SEQ this far ahead, or more, is behind (512)
  W:        1;  -- window
  MSGS:     1;  -- messages of a talker in one session
  TALKERS:  1;  -- sides that send messages
  CREDITS:  0;  -- advertised credits of the one VC; 0: no flow control
  LOSS:     1;  -- 1: flits are lost and damaged
  TRIGGERS: 0;  -- RECOVERY triggers without cause (PAL_RETRAIN, T_DEADKA)
  RETRAINS: 0;  -- sw_retrain
  PMS:      0;  -- L1 requests
  FORGED:   0;  -- RESYNC_ACKs of a broken peer, whose SEQ shows a gap
  LADDER:   0;  -- 1: RPC and RC count; a trigger comes as often as the link has worked since the last one
  N_REPLAY: 2;
  N_RECOV:  1;
  NUMQ:     4;  -- modulus of RN and TAG (2^16, 2^8)

type
  Side:  scalarset(2);
  Epoch: 0..EPOCHS; -- 0: unknown
  Seq:   0..Q-1;
  Num:   0..NUMQ-1;
  Msg:   0..MSGS;   -- 0: a credit-only flit
  Count: 0..CREDITS;
  State: enum {DETECT, CONFIG, INIT, ACTIVE, RECOVERY, L1, DEAD};
  Op:    enum {NOP, PROT, HELLO, CAPS, INITFC, NAK, PM_REQ, PM_ACK, PM_NAK, RETRAIN_REQ, RESYNC, RESYNC_ACK};

  Body: record -- of a PROT: what replay must not change
    msg:  Msg;
    ccnt: Count;
  endrecord;

  Flit: record -- fields that an Op does not have stay undefined
    op:    Op;
    epoch: Epoch; -- NOP and PROT have no pair on the wire: there these two are only looked at by assertions
    peer:  Epoch;
    seen:  boolean;
    used:  Epoch; -- CAPS: which incarnation's CAPS of the receiver went into CFG_HASH
    seq:   Seq;
    ack:   Seq;
    num:   Num;   -- RN or TAG
    body:  Body;
  endrecord;

var -- one array each: what rumur generates grows with the size of the type that is named
  st:      array [Side] of State;
  epoch:   array [Side] of Epoch;
  peer:    array [Side] of Epoch;
  seen:    array [Side] of boolean;
  used:    array [Side] of Epoch; -- incarnation whose CAPS went into the result
  stored:  array [Side] of Epoch; -- incarnation whose INITFC was stored
  base:    array [Side] of Seq;
  next:    array [Side] of Seq;
  rp:      array [Side] of Seq;
  exp:     array [Side] of Seq;
  buf:     array [Side] of array [Seq] of Body; -- the replay buffer, base to next-1
  naked:   array [Side] of boolean;
  due_nak: array [Side] of boolean;
  due_retrain: array [Side] of boolean;
  due_resync:  array [Side] of Num; -- RN of the due RESYNC_ACK, undefined: none; so the next two, with the TAG
  due_pm_ack:  array [Side] of Num;
  due_pm_nak:  array [Side] of Num;
  rn:      array [Side] of Num;
  pm:      array [Side] of boolean; -- own PM_REQ is open
  tag:     array [Side] of Num;
  rpc:     array [Side] of 0..N_REPLAY;
  rc:      array [Side] of 0..N_RECOV+1;
  unsent:  array [Side] of Msg;
  got:     array [Side] of Msg;   -- messages delivered to this side
  credit:  array [Side] of Count; -- messages that this side may send
  held:    array [Side] of Count; -- received, buffer not yet free
  free:    array [Side] of Count; -- returnable
  n:       array [Side] of 0..DEPTH; -- flits on their way to that side
  q:       array [Side] of array [0..DEPTH-1] of Flit;

  talks:   array [Side] of boolean;
  calm:    boolean; -- no fault comes any more
  triggers: 0..TRIGGERS; -- faults to come
  retrains: 0..RETRAINS;
  pms:     0..PMS;
--@ where FORGED
  forged:  0..FORGED;
--@ end
  worked:  array [Side] of boolean; -- ghost: a good flit came in ACTIVE with nothing unacknowledged
  grant:   0..2*TRIGGERS+2*RETRAINS+2; -- ghost: RECOVERY entries that have a cause (a sw_retrain causes one on each side)
  f:        Flit;    -- the flit in hand; this and the next are undefined between rules
  progress: boolean; -- BASE moved

-- Small words ---------------------------------------------------------------------------------------------------

function other(s: Side): Side; begin
  for o: Side do if o != s then return o; endif; endfor;
end;

function d(a: Seq; b: Seq): Seq; begin return (a + Q - b) % Q; end;
function inc(a: Seq): Seq; begin return (a + 1) % Q; end;
function up(s: Side): boolean; begin
  return st[s] = ACTIVE | st[s] = RECOVERY | st[s] = L1;
end;

-- HSL 3.7, without "no message waiting": one may be handed over at the next moment anyway.
function idle(s: Side): boolean; begin return base[s] = next[s] & !naked[s] & free[s] = 0; end;

-- "idle is judged after G" (HSL 3.2.3): as the PM flit in hand will leave it.
function idle_after(s: Side): boolean; begin
  return inc(f.ack) = next[s] & (f.seq = exp[s] | (!naked[s] & d(f.seq, exp[s]) >= H)) & free[s] = 0;
end;

-- HSL 3.2.1: the flit in hand was sent to this incarnation; the pair is current.
function meant(s: Side): boolean; begin return f.peer = epoch[s]; end;
function current(s: Side): boolean; begin return f.epoch = peer[s] & meant(s); end;

procedure enter(s: Side; into: State); begin
  assert "a link between two correct sides does not die" into != DEAD;
  if st[s] != into then
    st[s] := into;
    seen[s] := false;
    if into != ACTIVE then due_nak[s] := false; endif;
  endif;
end;

-- Actions of the cells, by their names in the table ---------------------------------------------------------------

procedure drop_session(s: Side); begin -- D
  peer[s] := 0; seen[s] := false; used[s] := 0; stored[s] := 0;
  base[s] := 0; next[s] := 0; rp[s] := 0; exp[s] := 0;
  undefine buf[s];
  naked[s] := false; due_nak[s] := false; rn[s] := 0;
  undefine due_resync[s]; undefine due_pm_ack[s]; undefine due_pm_nak[s];
  due_retrain[s] := false; pm[s] := false; tag[s] := 0;
  rpc[s] := 0; rc[s] := 0; worked[s] := true;
  unsent[s] := talks[s] ? MSGS : 0;
  got[s] := 0;
  credit[s] := CREDITS; held[s] := 0; free[s] := 0;
end;

procedure new_session(s: Side); begin -- N
  epoch[s] := epoch[s] + 1;
  drop_session(s);
end;

procedure stop_alone(s: Side); begin end; -- X?: one link is the port
procedure link_down(s: Side); begin end; -- L: one link is the port; its TL is reset by D
procedure take_peer(s: Side); begin peer[s] := f.epoch; end; -- V
procedure take_caps(s: Side); begin -- C
  if st[s] = DETECT then enter(s, CONFIG); endif;
  used[s] := f.epoch;
  seen[s] := true;
end;
procedure refuse(s: Side); begin end; -- F: >DEAD follows
procedure lost(s: Side); begin end; -- F2: likewise
procedure take_credits(s: Side); begin -- I
  stored[s] := f.epoch;
  seen[s] := true;
end;
procedure ack_now(s: Side); begin end; -- A: a NOP may be sent at any moment
procedure transmit(s: Side); begin end; -- U: likewise

procedure nak_due(s: Side); begin due_nak[s] := true; end; -- K
procedure resync(s: Side); begin -- W
  rn[s] := (rn[s] + 1) % NUMQ;
  rpc[s] := 0;
  pm[s] := false;
end;
procedure recover(s: Side); begin -- Y
  assert "RECOVERY has a cause" grant > 0;
  grant := grant - 1;
  if LADDER = 1 then
    if rc[s] = N_RECOV then enter(s, DEAD); endif;
    rc[s] := rc[s] + 1;
    worked[s] := false;
  endif;
  resync(s);
end;
procedure retrain_req_due(s: Side); begin due_retrain[s] := true; end; -- T
procedure retrain_pal(s: Side); begin end; -- Z
procedure replay_trigger(s: Side); begin -- R
  if LADDER = 1 & rpc[s] = N_REPLAY then
    recover(s);
    enter(s, RECOVERY);
  else
    if LADDER = 1 then rpc[s] := rpc[s] + 1; endif;
    rp[s] := base[s];
  endif;
end;
procedure resync_replay(s: Side); begin rp[s] := base[s]; end; -- R1
procedure recovered(s: Side); begin -- O
  rp[s] := base[s];
  rpc[s] := 0;
  if naked[s] then due_nak[s] := true; endif;
end;
procedure resync_ack_due(s: Side); begin due_resync[s] := f.num; end; -- M

-- HSL 3.4.2: a gap, seen by its SEQ or by damage.
procedure gap(s: Side); begin
  if !naked[s] then
    naked[s] := true;
    if st[s] = ACTIVE then due_nak[s] := true; endif;
  endif;
end;
procedure damaged(s: Side); begin gap(s); end; -- GB
procedure damaged_quiet(s: Side); begin naked[s] := true; end; -- GN

procedure take_ack(s: Side);
var k: Seq; passed: boolean;
begin
  k := d(inc(f.ack), base[s]);
  if k <= d(next[s], base[s]) then
    if k > 0 then
      progress := true;
      passed := d(rp[s], base[s]) < k;
      for i: Seq do if d(i, base[s]) < k then undefine buf[s][i]; endif; endfor;
      base[s] := inc(f.ack);
      if passed then rp[s] := base[s]; endif;
      rpc[s] := 0; rc[s] := 0;
    endif;
  else
    assert "an ACK is in range" false; -- it never fires between two correct sides
  endif;
  if base[s] = next[s] & st[s] = ACTIVE & (f.op = NOP | f.op = PROT) then
    worked[s] := true;
    rc[s] := 0;
  endif;
end;

procedure deliver(s: Side); begin
  assert "no flit of another session is accepted" f.epoch = peer[s] & f.peer = epoch[s];
  if f.body.msg != 0 then
    assert "messages come once each, in order" f.body.msg = got[s] + 1;
    got[s] := f.body.msg;
    if CREDITS > 0 then held[s] := held[s] + 1; endif;
  endif;
  credit[s] := credit[s] + f.body.ccnt;
end;

procedure accept(s: Side); -- G
var ahead: Seq;
begin
  take_ack(s);
  ahead := d(f.seq, exp[s]);
  if ahead = 0 then
    naked[s] := false;
    due_nak[s] := false;
    if f.op = PROT then
      deliver(s);
      exp[s] := inc(exp[s]);
    endif;
  elsif ahead < H then
    gap(s);
  endif;
end;
procedure accept_in_l1(s: Side); begin -- GL
  accept(s);
  if naked[s] then resync(s); enter(s, RECOVERY); endif;
end;
procedure nak(s: Side); begin -- R0
  if base[s] = next[s] then ack_now(s);
  elsif progress then rp[s] := base[s];
  else replay_trigger(s);
  endif;
end;

procedure pm_ask(s: Side); begin -- P0
  tag[s] := (tag[s] + 1) % NUMQ;
  pm[s] := true;
end;
procedure pm_grant(s: Side); begin pm[s] := false; due_pm_ack[s] := f.num; end; -- P1
procedure pm_again(s: Side); begin due_pm_ack[s] := f.num; end; -- P2
procedure pm_refused(s: Side); begin if f.num = tag[s] then pm[s] := false; endif; end; -- P3
procedure pm_refuse(s: Side); begin due_pm_nak[s] := f.num; end; -- P4
procedure pm_enter(s: Side); begin pm[s] := false; end; -- P6

--@ cells

-- Receiving -----------------------------------------------------------------------------------------------------

procedure pop(s: Side); begin
  for i: 0..DEPTH-1 do if i + 1 < DEPTH then q[s][i] := q[s][i+1]; endif; endfor;
  undefine q[s][DEPTH-1];
  n[s] := n[s] - 1;
end;

procedure done(); begin undefine f; undefine progress; end;

procedure hello(s: Side); begin -- HSL 3.2.3, rows 31 to 34
  if f.epoch = peer[s] then
    if meant(s) then on_HELLO_known_self(s); else on_HELLO_known_other(s); endif;
  else
    if meant(s) then on_HELLO_new_self(s); else on_HELLO_new_other(s); endif;
  endif;
end;

procedure prot(s: Side); begin -- rows 25 to 27
  if f.seq = exp[s] then on_PROT_in_sequence(s);
  elsif d(f.seq, exp[s]) < H then on_PROT_ahead(s);
  else on_PROT_duplicate(s);
  endif;
end;

procedure ctl(s: Side); begin -- rows 36 to 51
  switch f.op
    case CAPS:
      if !f.seen then on_CAPS_unseen(s); elsif f.used = epoch[s] then on_CAPS_seen(s); else on_CAPS_invalid(s); endif;
    case INITFC: if f.seen then on_INITFC_seen(s); else on_INITFC_unseen(s); endif;
    case NAK: on_NAK(s);
    case PM_REQ: if idle_after(s) then on_PM_REQ_idle(s); else on_PM_REQ_busy(s); endif;
    case PM_ACK: if pm[s] & f.num = tag[s] & idle_after(s) then on_PM_ACK_open(s); else on_PM_ACK_other(s); endif;
    case PM_NAK: on_PM_NAK(s);
    case RETRAIN_REQ: on_RETRAIN_REQ(s);
    case RESYNC: on_RESYNC(s);
    case RESYNC_ACK: if f.num = rn[s] then on_RESYNC_ACK_own(s); else on_RESYNC_ACK_other(s); endif;
  endswitch;
end;

-- Sending -------------------------------------------------------------------------------------------------------

function room(s: Side): boolean; begin return n[other(s)] < DEPTH; end;

-- HSL 3.3.1, 3.4.2: fields are read at the moment of sending.
procedure send(s: Side; op: Op);
var g: Flit;
begin
  undefine g;
  g.op := op;
  g.epoch := epoch[s];
  g.peer := peer[s];
  switch op
    case HELLO:
    case CAPS: g.seen := seen[s]; g.used := used[s];
    case INITFC: g.seen := seen[s];
    else g.seq := rp[s]; g.ack := (exp[s] + Q - 1) % Q;
  endswitch;
  switch op
    case PROT: g.body := buf[s][rp[s]]; rp[s] := inc(rp[s]);
    case NAK: due_nak[s] := false;
    case RETRAIN_REQ: due_retrain[s] := false;
    case RESYNC: g.num := rn[s];
    case RESYNC_ACK: g.num := due_resync[s]; undefine due_resync[s];
    case PM_REQ: g.num := tag[s];
    case PM_ACK: g.num := due_pm_ack[s]; undefine due_pm_ack[s];
    case PM_NAK: g.num := due_pm_nak[s]; undefine due_pm_nak[s];
  endswitch;
  q[other(s)][n[other(s)]] := g;
  n[other(s)] := n[other(s)] + 1;
end;

-- The transmission order of HSL 3.3.3: an item of this rank may go when none of a lower rank is due.
function may_send(s: Side; rank: 2..10): boolean; begin
  return room(s) &
    (rank <= 2 | (isundefined(due_resync[s]) & isundefined(due_pm_ack[s]) & isundefined(due_pm_nak[s]))) &
    (rank <= 3 | !due_retrain[s]) & (rank <= 6 | !due_nak[s]) & (rank <= 7 | rp[s] = next[s]);
end;

ruleset s: Side do

rule "receive" n[s] > 0 ==> begin
  f := q[s][0];
  progress := false;
  pop(s);
  switch f.op
    case NOP: on_NOP(s);
    case PROT: prot(s);
    case HELLO: hello(s);
    else if current(s) then ctl(s); else on_CTL_stale(s); endif;
  endswitch;
  done();
end;

rule "send answer" (st[s] = ACTIVE | st[s] = RECOVERY | st[s] = L1) & room(s) &
    (!isundefined(due_resync[s]) | !isundefined(due_pm_ack[s]) | (st[s] != L1 & !isundefined(due_pm_nak[s]))) ==>
begin
  if !isundefined(due_resync[s]) then send(s, RESYNC_ACK);
  elsif !isundefined(due_pm_ack[s]) then send(s, PM_ACK);
  else send(s, PM_NAK);
  endif;
end;
rule "send RETRAIN_REQ" (st[s] = ACTIVE | st[s] = RECOVERY) & due_retrain[s] & may_send(s, 3) ==> begin send(s, RETRAIN_REQ); end;
rule "send HELLO" st[s] = DETECT & room(s) ==> begin send(s, HELLO); end;
rule "send CAPS" st[s] = CONFIG & room(s) ==> begin send(s, CAPS); end;
rule "send INITFC" st[s] = INIT & room(s) ==> begin send(s, INITFC); end;
rule "send RESYNC" st[s] = RECOVERY & may_send(s, 4) ==> begin send(s, RESYNC); end;
rule "send NAK" st[s] = ACTIVE & due_nak[s] & may_send(s, 6) ==> begin send(s, NAK); end;
rule "replay" st[s] = ACTIVE & rp[s] != next[s] & may_send(s, 7) ==> begin send(s, PROT); end;

rule "send PROT" -- HSL 3.5 F9: a message needs its credit and the window, a return only the window
  st[s] = ACTIVE & may_send(s, 8) & d(next[s], base[s]) < W & ((unsent[s] > 0 & (CREDITS = 0 | credit[s] > 0)) | free[s] > 0)
==> begin
  buf[s][next[s]].msg := 0;
  if unsent[s] > 0 & (CREDITS = 0 | credit[s] > 0) then
    buf[s][next[s]].msg := MSGS - unsent[s] + 1;
    unsent[s] := unsent[s] - 1;
    if CREDITS > 0 then credit[s] := credit[s] - 1; endif;
  endif;
  buf[s][next[s]].ccnt := free[s];
  free[s] := 0;
  next[s] := inc(next[s]);
  pm[s] := false;
  send(s, PROT);
end;

rule "send PM_REQ" st[s] = ACTIVE & pm[s] & may_send(s, 9) ==> begin send(s, PM_REQ); end;
rule "give up L1" pm[s] ==> begin pm[s] := false; end; -- the fourth T_PM
rule "send NOP" st[s] = ACTIVE & may_send(s, 10) ==> begin send(s, NOP); end;

rule "buffer free" held[s] > 0 ==> begin held[s] := held[s] - 1; free[s] := free[s] + 1; end;
rule "tx_work" st[s] = L1 & (unsent[s] > 0 | free[s] > 0) ==> begin on_tx_work(s); end;
rule "T_NAK" st[s] = ACTIVE & naked[s] & !due_nak[s] ==> begin on_T_NAK(s); end;
rule "T_REPLAY" st[s] = ACTIVE & base[s] != next[s] & rp[s] != base[s] ==> begin on_T_REPLAY(s); end;
rule "T_DEADKA of a silent peer" -- no fault: a peer in L1 sends nothing
  st[s] = ACTIVE & st[other(s)] = L1 & n[s] = 0 & isundefined(due_resync[other(s)]) & isundefined(due_pm_ack[other(s)])
==> begin grant := grant + 1; on_T_DEADKA(s); end;

-- Faults ----------------------------------------------------------------------------------------------------------

rule "lose a flit" !calm & LOSS = 1 & n[s] > 0 ==> begin pop(s); end;
rule "damage a flit" !calm & LOSS = 1 & n[s] > 0 ==> begin pop(s); on_bad(s); end;
rule "restart" !calm & epoch[s] < EPOCHS ==> begin new_session(s); st[s] := DETECT; end;
rule "T_STATE" !calm & epoch[s] < EPOCHS & (st[s] = CONFIG | st[s] = INIT) ==> begin on_T_STATE(s); end;
rule "PAL_RETRAIN or T_DEADKA" !calm & (LADDER = 1 ? worked[s] : triggers > 0) & st[s] = ACTIVE ==> begin
  if LADDER = 0 then triggers := triggers - 1; endif;
  grant := grant + 1;
  on_PAL_RETRAIN(s);
end;
rule "PAL_RETRAIN in L1" !calm & triggers > 0 & st[s] = L1 ==> begin
  triggers := triggers - 1;
  on_PAL_RETRAIN(s);
end;
rule "sw_retrain" !calm & retrains > 0 & st[s] = ACTIVE ==> begin
  retrains := retrains - 1;
  grant := grant + 2;
  on_sw_retrain(s);
end;
rule "pm_idle" !calm & pms > 0 & st[s] = ACTIVE & idle(s) & !pm[s] ==> begin
  pms := pms - 1;
  on_pm_idle(s);
end;

--@ where FORGED
ruleset k: Num do
  rule "RESYNC_ACK of a broken peer" !calm & forged > 0 & up(s) & room(s) ==>
  var o: Side;
  begin
    o := other(s);
    forged := forged - 1;
    q[o][n[o]].op := RESYNC_ACK;
    q[o][n[o]].epoch := epoch[s];
    q[o][n[o]].peer := peer[s];
    q[o][n[o]].seq := inc(exp[o]);
    q[o][n[o]].ack := (exp[s] + Q - 1) % Q;
    q[o][n[o]].num := k;
    n[o] := n[o] + 1;
  end;
endruleset;
--@ end

endruleset;

rule "faults end" !calm ==> begin calm := true; end;

ruleset t: Side do startstate begin
  for s: Side do
    n[s] := 0;
    talks[s] := TALKERS = 2 | (TALKERS = 1 & s = t);
    epoch[s] := 1;
    drop_session(s);
    if DETECTED = 1 then
      st[s] := DETECT;
    else
      st[s] := ACTIVE; peer[s] := 1; used[s] := 1; stored[s] := 1;
    endif;
  endfor;
  calm := false;
  triggers := TRIGGERS; retrains := RETRAINS; pms := PMS; grant := 0;
--@ where FORGED
  forged := FORGED;
--@ end
  done();
end; endruleset;

-- What must hold ----------------------------------------------------------------------------------------------------

function both_up(): boolean; begin return forall s: Side do up(s) endforall; end;

invariant "two sides that are up know each other's incarnation, and used its CAPS and INITFC"
  both_up() -> forall s: Side do
    peer[s] = epoch[other(s)] & used[s] = peer[s] & stored[s] = peer[s]
  endforall;

invariant "no side is ahead of what the other sent"
  both_up() -> forall s: Side do
    d(exp[other(s)], base[s]) <= d(next[s], base[s]) & d(rp[s], base[s]) <= d(next[s], base[s])
  endforall;

--@ where FORGED
invariant "no side sleeps that must ask for a flit" -- HSL-LNK-047
  forall s: Side do st[s] = L1 -> !naked[s] endforall;
--@ end

function credits_of(s: Side): 0..4*CREDITS; -- of messages from s, wherever they are
var sum: 0..4*CREDITS; o: Side;
begin
  o := other(s);
  sum := credit[s] + held[o] + free[o];
  for i: Seq do
    if d(i, exp[o]) < d(next[s], exp[o]) & buf[s][i].msg != 0 then sum := sum + 1; endif;
    if d(i, exp[s]) < d(next[o], exp[s]) then sum := sum + buf[o][i].ccnt; endif;
  endfor;
  return sum;
end;

invariant "credits are neither lost nor doubled"
  CREDITS > 0 & both_up() -> forall s: Side do credits_of(s) = CREDITS endforall;

-- From every state, also with no fault from there on (`calm`), this is reachable.
liveness "every message is delivered and acknowledged, all credits are back, both sides rest alike"
  both_up() & (exists s: Side do st[s] = ACTIVE & st[other(s)] = ACTIVE | st[s] = L1 & st[other(s)] = L1 endexists) &
  forall s: Side do
    unsent[s] = 0 & base[s] = next[s] & (talks[other(s)] -> got[s] = MSGS) & (CREDITS = 0 | credit[s] = CREDITS)
  endforall;
