-- Isolate before complete (HSL 6.2): two nodes, each the home of one line, of which the other caches a copy, and a third node that
-- stores both lines, one after the other. The port between the two is lost and comes back; time is counted in ticks of T_STATE or a part of it.

const -- what a run explores; coherence-models.toml sets other values
  LINKS:  1; -- of the port between the two
  LIFE:   1; -- T_DEADKA and T_STATE: so long a link end goes on without a flit of its peer
  WIRE:   0; -- the longest time that a flit is under way
  LOSS:   2; -- T_LOSS: the least that is more than WIRE and LIFE
  LEASE:  1; -- T_STATE in L1
  SLEEP:  0; -- L1 is used
  JOINED: 0; -- the port is up when the run begins
  LOSSY:  1; -- flits may be lost; with 0 a side may be silent for any time, but what it sends arrives
  BOTH:   1; -- both sides hold copies at a time; with 0 one does
  FAULTS: 1; -- T_SNP, sw_disable, port-fatal errors, another node in the place of the peer: so many together
  EPOCHS: 7; -- of a link end: one more than may be known at once
  PORTS:  7; -- of a side

type
  Side:  scalarset(2);
  Link:  scalarset(LINKS);
  Epoch: 0..EPOCHS; -- 0: unknown
  Port:  0..PORTS;
  State: enum {OFF, DETECT, UP, LOW}; -- OFF: DISABLED or DEAD; UP: CONFIG to ACTIVE, and RECOVERY; LOW: L1
  Kind:  enum {HELLO, SESSION, RESYNC, RESYNC_ACK, BYE, FATAL}; -- RESYNC: on the way out of L1 only; BYE: DISABLE, or ERR_FATAL of one link; FATAL: ERR_FATAL of the port
  Copy:  enum {NONE, FRESH, STALE};

var
  st:     array [Side] of array [Link] of State;
  epoch:  array [Side] of array [Link] of Epoch;
  peer:   array [Side] of array [Link] of Epoch;
  named:  array [Side] of array [Link] of Port;  -- PORT in the HELLO of that PEER
  port:   array [Side] of Port;
  am:     array [Side] of array [Link] of boolean;
  age:    array [Side] of array [Link] of 0..LIFE; -- since the last flit that was not dropped
  rest:   array [Side] of array [Link] of 0..LEASE + 1; -- since the entry into L1, until RESYNC_ACK has come
  asked:  array [Side] of array [Link] of boolean; -- RESYNC has come: RESYNC_ACK is due
  -- the session that the port has, or has lost
  its:    array [Side] of array [Link] of Epoch; -- the pair of each link
  own:    array [Side] of array [Link] of Epoch;
  theirs: array [Side] of Port;                  -- PORT of the peer
  bye:    array [Side] of array [Link] of boolean; -- DISABLE or ERR_FATAL has come
  -- its loss
  since:  array [Side] of 0..LOSS;               -- LINK_DOWN, in HOLD
  held:   array [Side] of boolean;               -- HOLD: the home isolates, it waits for proof
  new:    array [Side] of array [Link] of boolean; -- EPOCH was chosen after the loss
  clean:  array [Side] of boolean;               -- the agents have dropped their copies
  -- the lines
  listed: array [Side] of boolean;               -- the directory of that home lists the other side
  copy:   array [Side] of Copy;                  -- of the line of the other side
  -- the third node: store one line, fence, store the other; then the home of the other reads both, the other first
  w:      enum {IDLE, FIRST, SECOND, READ};
  first:  Side;                                  -- home of the line that it stores first
  -- flits under way to that side
  kind:   array [Side] of array [Link] of Kind;
  f_from: array [Side] of array [Link] of Epoch;
  f_to:   array [Side] of array [Link] of Epoch;
  f_port: array [Side] of array [Link] of Port;
  late:   array [Side] of array [Link] of 0..WIRE;
  said:   array [Side] of array [Link] of boolean; -- HELLO was sent since the last tick
  stranger: boolean; -- the two are connected to other nodes, which send HELLO with their own GUID every T_HS
  faults: 0..FAULTS;
  calm:   boolean; -- no fault comes any more

function other(s: Side): Side; begin
  for o: Side do if o != s then return o; endif; endfor;
end;

function alive(s: Side): boolean; begin return exists l: Link do am[s][l] endexists; end;

-- A message passes between the two: both ports are up, by a link that both use.
function agree(): boolean; begin
  return !stranger & exists l: Link do forall s: Side do
    am[s][l] & st[s][l] = UP & isundefined(rest[s][l]) & peer[s][l] = epoch[other(s)][l]
  endforall endexists;
end;

-- A copy may be used: the session is up and the lease of L1 has not ended, or the agents have not yet heard of its end.
function usable(s: Side): boolean; begin
  return copy[s] != NONE
    & (!clean[s] | exists l: Link do am[s][l] & (isundefined(rest[s][l]) | rest[s][l] <= LEASE) endexists);
end;

-- Only which of them are equal matters: the present EPOCH and PORT are 1, and the others are numbered as they are met.
procedure tidy();
var e: array [Epoch] of Epoch; p: array [Port] of Port; n, m: Epoch; i, j: Port; o: Side;
begin
  for s: Side do
    o := other(s);
    for l: Link do
      for x: Epoch do e[x] := 0; endfor;
      e[epoch[s][l]] := 1; n := 1;
      m := peer[o][l]; if m != 0 & e[m] = 0 then n := n + 1; e[m] := n; endif;
      m := its[o][l]; if m != 0 & e[m] = 0 then n := n + 1; e[m] := n; endif;
      m := own[s][l]; if m != 0 & e[m] = 0 then n := n + 1; e[m] := n; endif;
      if !isundefined(kind[o][l]) then m := f_from[o][l]; if m != 0 & e[m] = 0 then n := n + 1; e[m] := n; endif; endif;
      if !isundefined(kind[s][l]) then m := f_to[s][l]; if m != 0 & e[m] = 0 then n := n + 1; e[m] := n; endif; endif;
      epoch[s][l] := 1; peer[o][l] := e[peer[o][l]]; its[o][l] := e[its[o][l]]; own[s][l] := e[own[s][l]];
      if !isundefined(kind[o][l]) then f_from[o][l] := e[f_from[o][l]]; endif;
      if !isundefined(kind[s][l]) then f_to[s][l] := e[f_to[s][l]]; endif;
    endfor;
    for x: Port do p[x] := 0; endfor;
    p[port[s]] := 1; i := 1;
    for l: Link do if !isundefined(named[o][l]) then j := named[o][l]; if p[j] = 0 then i := i + 1; p[j] := i; endif; endif; endfor;
    if !isundefined(theirs[o]) then j := theirs[o]; if p[j] = 0 then i := i + 1; p[j] := i; endif; endif;
    for l: Link do if !isundefined(f_port[o][l]) then j := f_port[o][l]; if p[j] = 0 then i := i + 1; p[j] := i; endif; endif; endfor;
    port[s] := 1;
    for l: Link do
      if !isundefined(named[o][l]) then named[o][l] := p[named[o][l]]; endif;
      if !isundefined(f_port[o][l]) then f_port[o][l] := p[f_port[o][l]]; endif;
    endfor;
    if !isundefined(theirs[o]) then theirs[o] := p[theirs[o]]; endif;
  endfor;
end;

procedure forget(s: Side); begin -- nothing is asked any more about the session that was lost
  undefine theirs[s]; undefine since[s];
  for l: Link do its[s][l] := 0; own[s][l] := 0; bye[s][l] := false; new[s][l] := false; endfor;
end;

procedure walk(s: Side); begin -- the `lost` rows; HOLD ends
  listed[s] := false;
  held[s] := false;
  forget(s);
end;

procedure link_down(s: Side); begin -- AM is unset
  clean[s] := copy[s] = NONE;
  for l: Link do new[s][l] := false; endfor;
  held[s] := listed[s];
  if listed[s] then since[s] := 0; else forget(s); endif;
end;

procedure at_rest(s: Side; l: Link); begin
  if !isundefined(rest[s][l]) then if rest[s][l] > LEASE then copy[s] := NONE; endif; endif; -- it cannot be used any more
  am[s][l] := false;
  peer[s][l] := 0;
  undefine named[s][l]; undefine age[s][l]; undefine rest[s][l];
  asked[s][l] := false;
end;

procedure drop_session(s: Side; l: Link); begin at_rest(s, l); st[s][l] := DETECT; end; -- D

procedure new_session(s: Side; l: Link); begin -- N
  drop_session(s, l);
  epoch[s][l] := EPOCHS; -- the other numbers are in use
  new[s][l] := held[s];
end;

procedure next_port(s: Side); begin port[s] := PORTS; end;

procedure emit(s: Side; l: Link; k: Kind; from: Epoch; to_: Epoch); begin -- a flit to s
  kind[s][l] := k;
  f_from[s][l] := from;
  f_to[s][l] := to_;
  late[s][l] := 0;
  undefine f_port[s][l];
end;

procedure last_word(s: Side; l: Link; k: Kind); begin -- before it the copies go; sent if there is room: it may be lost anyhow
  if k = FATAL | !exists m: Link do m != l & am[s][m] endexists then copy[s] := NONE; endif;
  if !stranger & peer[s][l] != 0 & isundefined(kind[other(s)][l]) then emit(other(s), l, k, epoch[s][l], peer[s][l]); endif;
end;

procedure link_lost(s: Side; l: Link); -- a link leaves AM; with the last one the session ends
var was: boolean;
begin
  was := am[s][l];
  at_rest(s, l);
  st[s][l] := OFF;
  if was & !alive(s) then link_down(s); endif;
end;

procedure port_down(s: Side; l: Link); -- L: row 3 for every other link
var was: boolean;
begin
  was := alive(s);
  for k: Link do am[s][k] := false; endfor;
  if was then
    link_down(s);
    for k: Link do if k != l & st[s][k] != OFF & st[s][k] != DETECT then new_session(s, k); endif; endfor;
  endif;
end;

procedure take_peer(s: Side; l: Link; from: Epoch; to_: Epoch; p: Port); begin -- V: not in HOLD, and not beside a session
  if !held[s] & clean[s] & !alive(s) then
    peer[s][l] := from;
    named[s][l] := p;
    if to_ = epoch[s][l] then st[s][l] := UP; age[s][l] := 0; endif;
  endif;
end;

procedure on_hello(s: Side; l: Link; from: Epoch; to_: Epoch; p: Port); begin -- rows 31 to 34
  if st[s][l] != OFF then
    if from = peer[s][l] then
      if st[s][l] = DETECT & to_ = epoch[s][l] then st[s][l] := UP; age[s][l] := 0; endif;
    elsif am[s][l] & p = theirs[s] & exists k: Link do k != l & am[s][k] endexists then
      link_lost(s, l);
    else
      if am[s][l] then port_down(s, l); endif;
      drop_session(s, l);
      take_peer(s, l, from, to_, p);
    endif;
  endif;
end;

procedure on_pair(s: Side; l: Link; k: Kind); begin -- a CTL of the current pair
  if k != BYE & k != FATAL then
    if st[s][l] != OFF & (st[s][l] != LOW | k != RESYNC_ACK) then
      st[s][l] := UP; -- it wakes if it was in L1; RESYNC_ACK comes later
      age[s][l] := 0;
      if k = RESYNC_ACK then undefine rest[s][l]; endif;
      if k = RESYNC then asked[s][l] := true; endif;
    endif;
  elsif st[s][l] = UP | st[s][l] = LOW then
    if k = FATAL then
      for m: Link do if st[s][m] != OFF then at_rest(s, m); st[s][m] := OFF; endif; endfor;
    elsif am[s][l] & exists m: Link do m != l & am[s][m] endexists then
      link_lost(s, l);
    else
      at_rest(s, l);
      st[s][l] := DETECT;
    endif;
  endif;
end;

ruleset s: Side; l: Link do
  rule "receive" !isundefined(kind[s][l]) ==>
  var k: Kind; from, to_: Epoch; p: Port; lost, was: boolean;
  begin
    k := kind[s][l]; from := f_from[s][l]; to_ := f_to[s][l];
    if k = HELLO then p := f_port[s][l]; endif;
    undefine kind[s][l]; undefine f_from[s][l]; undefine f_to[s][l]; undefine f_port[s][l]; undefine late[s][l];
    lost := k != HELLO & from != 0 & from = its[s][l] & to_ = own[s][l]; -- of the session that the port has, or has lost
    if lost & (k = BYE | k = FATAL) then bye[s][l] := true; endif;
    was := alive(s);
    if k = HELLO then on_hello(s, l, from, to_, p);
    elsif from = peer[s][l] & to_ = epoch[s][l] then
      on_pair(s, l, k);
      if was & !alive(s) & !held[s] then link_down(s); endif;
      if k = BYE & st[s][l] = DETECT & peer[s][l] = 0 then new_session(s, l); endif;
    endif;
    -- proof that the peer can no longer use its copies
    if held[s] then
      if k = HELLO then
        if (from != its[s][l] & p != theirs[s]) | (new[s][l] & to_ = epoch[s][l]) then walk(s); endif;
      elsif lost then
        if k = FATAL | (k = BYE & forall m: Link do bye[s][m] endforall) then walk(s); endif;
      endif;
    endif;
    tidy();
  end;

  rule "send" !stranger & isundefined(kind[other(s)][l]) & clean[s] & (st[s][l] = DETECT | st[s][l] = UP) ==> begin
    if st[s][l] = DETECT then
      emit(other(s), l, HELLO, epoch[s][l], peer[s][l]);
      f_port[other(s)][l] := port[s];
      if calm then said[s][l] := true; endif;
    elsif asked[s][l] then
      emit(other(s), l, RESYNC_ACK, epoch[s][l], peer[s][l]);
      asked[s][l] := false;
    elsif !isundefined(rest[s][l]) then
      emit(other(s), l, RESYNC, epoch[s][l], peer[s][l]);
    else
      emit(other(s), l, SESSION, epoch[s][l], peer[s][l]);
    endif;
  end;

  rule "lose a flit" LOSSY = 1 & !calm & !isundefined(kind[s][l]) ==> begin
    undefine kind[s][l]; undefine f_from[s][l]; undefine f_to[s][l]; undefine f_port[s][l]; undefine late[s][l];
    tidy();
  end;

  rule "receive a flit that is dropped" !calm & st[s][l] = UP ==> begin end; -- T_DEADKA runs on

  rule "T_STATE" st[s][l] = UP & age[s][l] = LIFE ==>
  begin
    if am[s][l] then
      last_word(s, l, BYE);
      link_lost(s, l);
    else
      new_session(s, l);
    endif;
    tidy();
  end;

  rule "sw_disable" !calm & faults > 0 & (st[s][l] = UP | st[s][l] = LOW) ==> begin
    faults := faults - 1;
    last_word(s, l, BYE);
    link_lost(s, l);
    tidy();
  end;

  rule "a port-fatal error" !calm & faults > 0 & am[s][l] ==> begin
    faults := faults - 1;
    last_word(s, l, FATAL);
    for k: Link do at_rest(s, k); st[s][k] := OFF; endfor;
    link_down(s);
    tidy();
  end;

  rule "sw_enable" st[s][l] = OFF & clean[s] ==> begin
    if forall k: Link do st[s][k] = OFF endforall then next_port(s); endif;
    new_session(s, l);
    tidy();
  end;

  rule "the port starts, at once or by T_PORT" !alive(s) & !held[s] & clean[s] & st[s][l] = UP ==>
  var p: Port;
  begin
    p := named[s][l];
    theirs[s] := p;
    for k: Link do
      bye[s][k] := false;
      if st[s][k] = UP & named[s][k] = p then
        am[s][k] := true;
        its[s][k] := peer[s][k];
        own[s][k] := epoch[s][k];
      else
        its[s][k] := 0;
        own[s][k] := 0;
        if st[s][k] != OFF then at_rest(s, k); st[s][k] := OFF; endif;
      endif;
    endfor;
    tidy();
  end;

--@ where SLEEP
  rule "L1" am[s][l] & st[s][l] = UP & age[s][l] = 0 & isundefined(rest[s][l]) & !calm ==> begin
    st[s][l] := LOW;
    undefine age[s][l];
    rest[s][l] := 0;
    asked[other(s)][l] := false; -- RESYNC_ACK of an earlier RN is none
    if !isundefined(kind[s][l]) then if kind[s][l] = RESYNC_ACK then kind[s][l] := SESSION; endif; endif;
  end;

  rule "wake" st[s][l] = LOW ==> begin
    st[s][l] := UP;
    age[s][l] := 0;
  end;
--@ end
endruleset;

ruleset s: Side do
  rule "the agents drop their copies" !clean[s] ==> begin
    copy[s] := NONE;
    clean[s] := true;
  end;

  rule "T_LOSS" held[s] & since[s] = LOSS ==> begin walk(s); tidy(); end;

  rule "T_SNP" !calm & faults > 0 & alive(s) & listed[s] & ((w = FIRST & s = first) | (w = SECOND & s != first)) ==> begin
    faults := faults - 1;
    for l: Link do am[s][l] := false; endfor;
    link_down(s);
    next_port(s);
    for l: Link do if st[s][l] != OFF & st[s][l] != DETECT then new_session(s, l); endif; endfor;
    tidy();
  end;

  rule "the other side fetches a copy" w = IDLE & agree() & (BOTH = 1 | forall o: Side do !listed[o] endforall) & !listed[s] & copy[other(s)] = NONE ==> begin
    listed[s] := true;
    copy[other(s)] := FRESH;
  end;

  rule "a snoop is answered" agree() & listed[s] & ((w = FIRST & s = first) | (w = SECOND & s != first)) ==> begin
    copy[other(s)] := NONE;
    listed[s] := false;
  end;

  rule "the third node stores a line" w = IDLE ==> begin w := FIRST; first := s; end;

  rule "the store is complete" w = FIRST & s = first & !listed[s] ==> begin
    if copy[other(s)] = FRESH then copy[other(s)] := STALE; endif;
    w := SECOND;
  end;

  rule "the later store is complete" w = SECOND & s != first & !listed[s] ==> begin
    if copy[other(s)] = FRESH then copy[other(s)] := STALE; endif;
    w := READ;
  end;

  rule "the home of the later line has read it, and reads the earlier one" w = READ & s != first ==> begin
    if usable(s) then assert "who has seen the later store sees the earlier one" copy[s] = FRESH; endif;
    w := IDLE;
    undefine first;
  end;
endruleset;

rule "a tick"
  forall s: Side do clean[s] & forall l: Link do
    (st[s][l] = UP -> age[s][l] < LIFE)
    & (isundefined(kind[s][l]) | late[s][l] < WIRE)
    & (calm & !stranger & st[s][l] = DETECT -> said[s][l])
  endforall endforall
==> begin
  for s: Side do
    if held[s] then if since[s] < LOSS then since[s] := since[s] + 1; endif; endif; -- whatever a stranger sends
    for l: Link do
      if st[s][l] = UP then age[s][l] := age[s][l] + 1; endif;
      if !isundefined(rest[s][l]) then if rest[s][l] <= LEASE then rest[s][l] := rest[s][l] + 1; endif; endif;
      if !isundefined(kind[s][l]) then late[s][l] := late[s][l] + 1; endif;
      said[s][l] := false;
    endfor;
  endfor;
end;

rule "another node is in the place of the peer" !calm & faults > 0 ==> begin
  faults := faults - 1;
  stranger := true;
end;

rule "faults end" !calm ==> begin calm := true; faults := 0; end;

startstate begin
  undefine named; undefine age; undefine rest; undefine theirs; undefine since; undefine first;
  undefine kind; undefine f_from; undefine f_to; undefine f_port; undefine late;
  for s: Side do
    port[s] := 1;
    held[s] := false; clean[s] := true; listed[s] := false;
    copy[s] := NONE;
    for l: Link do
      st[s][l] := DETECT; epoch[s][l] := 1; peer[s][l] := 0; am[s][l] := false;
      its[s][l] := 0; own[s][l] := 0; bye[s][l] := false; new[s][l] := false; said[s][l] := false; asked[s][l] := false;
    endfor;
  endfor;
  w := IDLE;
  stranger := false;
  faults := FAULTS;
  calm := false;
--@ where JOINED
  for s: Side do
    theirs[s] := 1;
    for l: Link do
      st[s][l] := UP; peer[s][l] := 1; named[s][l] := 1; am[s][l] := true; age[s][l] := 0; its[s][l] := 1; own[s][l] := 1;
    endfor;
  endfor;
--@ end
end;

-- From every state, also with no fault from there on (`calm`), this is reachable.
liveness "no store waits, and the two sides work together again"
  w = IDLE & (agree() | stranger) & forall s: Side do !held[s] & clean[s] endforall;
